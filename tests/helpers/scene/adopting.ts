/** Sidecars that adopt the cgroup of a test, and the state of its listeners. */
import {
  netnsInode,
  readStatus,
  type Sidecar,
  type SidecarOptions,
} from "../../../loader/index.ts";
import { Observer } from "../../../loader/observe/observer.ts";
import type { TestCgroup } from "../host/cgroup.ts";
import { startOrdinary } from "../servers/ordinary_servers.ts";
import { BPFFS, type Scene } from "./scene.ts";

type Options = Partial<SidecarOptions> & { readonly spec?: string; readonly max?: number };

/** Starts a sidecar for the scene's port on any address that adopts `cgroup`. */
export function adopting(s: Scene, { path }: TestCgroup, options: Options = {}): Promise<Sidecar> {
  const { max = 2, spec = `:${s.port}`, ...rest } = options;
  const filter = { netns: netnsInode("/proc/self/ns/net"), cgroup: path };
  return s.sidecar({ spec, filter, adopt: { cgroup: path, max }, ...rest });
}

/** Returns, for each listener on a port: owner pid -> whether SO_REUSEPORT is set. */
export function reuseports(port: number): Record<number, boolean> {
  using observer = new Observer();
  const listeners = observer.read().listeners.filter(({ key }) => key.port === port);
  return Object.fromEntries(
    listeners.flatMap(({ owners, reuseport }) => owners.map(({ pid }) => [pid, reuseport])),
  );
}

/** Returns the binds by port of each adopted cgroup: `{"/cgroup": {8080: 2}}`. */
export function adopted(): Record<string, Record<number, number>> {
  const { adoptions } = readStatus({ bpffs: BPFFS });
  return Object.fromEntries(
    adoptions.map(({ cgroup, ports }) => [
      cgroup,
      Object.fromEntries(ports.map(({ port, binds }) => [port, Number(binds)])),
    ]),
  );
}

/** Whether a server that is started in the cgroup now gets SO_REUSEPORT. */
export async function adopts(
  s: Scene,
  cgroup: TestCgroup,
  port = s.port,
): Promise<boolean | undefined> {
  const server = await startOrdinary(s, "echo", cgroup.under, { port });
  const set = reuseports(port)[server.pid];
  await server.stop();
  return set;
}
