/** A SPEC that covers no group is said: at the start, at a reload, with --once and with --wait. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { detach } from "../../loader/index.ts";
import { runCli } from "../helpers/product/cli.ts";
import { SidecarProcess } from "../helpers/product/sidecar.ts";
import { ConfiguredSidecar } from "../helpers/scene/configured.ts";
import { BPFFS, type Scene, scene } from "../helpers/scene/scene.ts";
import { groupOf } from "../helpers/scene/status.ts";
import { until } from "../helpers/until.ts";

interface Ports {
  /** SPECs: of the scene's listener, of one without SO_REUSEPORT, and of no listener. */
  readonly listens: string;
  readonly lacks: string;
  readonly empty: string;
  readonly pid: number;
}

async function three(s: Scene): Promise<Ports> {
  await s.listener();
  const process = await s.process();
  await process.open({ address: s.address, port: s.port + 10_000, reuseport: false });
  const [lacks, empty] = [`:${s.port + 10_000}`, `:${s.port + 11_000}`];
  return { listens: `:${s.port}`, lacks, empty, pid: process.pid };
}

async function attach(s: Scene, ...args: string[]): Promise<SidecarProcess> {
  const sidecar = await SidecarProcess.attach(...args, "--metrics", "off");
  s.defer(() => sidecar[Symbol.asyncDispose]());
  return sidecar;
}

describe("of several SPECs", () => {
  test(
    "those that cover no group are named with the reason, and attached later",
    scene(async (s) => {
      const { listens, lacks, empty, pid } = await three(s);
      const sidecar = await attach(s, listens, lacks, empty);
      const warnings = sidecar.warnings().join("\n");
      const why = `${lacks} is not attached: tcp 127.0.0.1${lacks} of node \\(pid ${pid}\\): it does not set SO_REUSEPORT`;
      assert.match(warnings, new RegExp(why));
      assert.match(warnings, new RegExp(`${empty}: nothing listens there; it is attached once`));
      assert.doesNotMatch(warnings, new RegExp(`${listens}\\b`));
      const ready = `READY groups=1 listeners=1 waiting=${lacks},${empty} metrics=off`;
      assert.match(sidecar.output(), new RegExp(`^${ready}$`, "m"));

      const port = Number(empty.slice(1));
      await s.listener({ port });
      await until("it is attached", () => sidecar.output().includes(`attached 127.0.0.1${empty}`));
      assert.equal(groupOf(port).sidecar, sidecar.pid);
    }),
  );

  test(
    "with --once: exit 4, and the others are attached",
    scene(async (s) => {
      const { listens, lacks, empty } = await three(s);
      s.defer(() => detach({ all: true, bpffs: BPFFS }));
      const run = await runCli(["attach", listens, lacks, empty, "--once"]);
      assert.deepEqual([run.code, run.stdout], [4, "ATTACHED groups=1 listeners=1\n"]);
      assert.match(run.stderr, new RegExp(`: not attached: ${lacks}, ${empty}: no process waits`));
      const all = await runCli(["attach", listens, "--once"]);
      assert.equal(all.code, 0, all.stderr);
    }),
  );

  test(
    "with --wait: READY and the log say what is waited for, which is no warning",
    scene(async (s) => {
      const empty = s.spec;
      const sidecar = await attach(s, empty, "--wait");
      assert.match(sidecar.output(), /^READY groups=0 listeners=0 waiting=\S+:\d+ metrics=off$/m);
      assert.match(sidecar.output(), new RegExp(`info +${empty}: nothing listens there`));
      assert.deepEqual(sidecar.warnings(), []);
    }),
  );

  test(
    "of a config: at the start and at each reload",
    scene(async (s) => {
      const { listens, lacks, empty } = await three(s);
      const services = { web: { listen: [listens, empty] } };
      const sidecar = await ConfiguredSidecar.start(s, services);
      const said = (spec: string) => sidecar.log().filter(({ msg }) => msg.startsWith(spec)).length;
      const counts = () => [
        said(`${empty}: nothing listens there`),
        said(`${lacks} is not attached: `),
      ];
      assert.deepEqual(counts(), [1, 0]);
      const more = { ...services, other: { listen: [lacks], wait: true } };
      await sidecar.change(more);
      assert.deepEqual(counts(), [2, 1]);
      // A lasting condition is a warning once.
      await sidecar.change({ ...more, third: { listen: [":1"] } });
      assert.deepEqual(counts(), [3, 1]);
    }),
  );
});
