/**
 * The sidecar in a container, with the flags of docs/guides/containers.md, guards servers on the host
 * and in containers: in an emulated Debian, as crun requires cgroups of version 2 only.
 */
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { join } from "node:path";
import { before, test } from "node:test";
import { promisify } from "node:util";
import { ROOT } from "../install/installed.ts";
import { guestRoot, programsOf } from "./guest_root.ts";

const run = promisify(execFile);
const KERNEL = "6.1.0-*-cloud-amd64";
/** The guest is 5 to 20 times slower than this machine. */
const TIMEOUT_S = 1_500;

interface Queue {
  readonly answered: number;
  readonly lost: number;
}
interface Replaced {
  readonly ports: readonly {
    readonly port: number;
    readonly latencies: readonly number[];
    readonly lost: Readonly<Record<string, number>>;
  }[];
}

const results = new Map<string, unknown>();
let programs: readonly string[] = [];
let log = "";

before(async () => {
  const runner = join(ROOT, "tests/vm/vm-run.sh");
  const root = await guestRoot();
  programs = await programsOf(root);
  const env = {
    ...process.env,
    VM_ROOT: root,
    VM_INIT: "systemd",
    VM_MEM: "4096",
    VM_TIMEOUT: String(TIMEOUT_S),
  };
  const command = [runner, KERNEL, "bash /opt/containers/guest.sh"];
  log = await run("bash", command, { env, maxBuffer: 1 << 26 }).then(
    ({ stdout }) => stdout,
    ({ stdout, stderr }) => `${stdout}${stderr}`,
  );
  for (const [, name = "", json = ""] of log.matchAll(/^RESULT (\S+) (.*)$/gm)) {
    results.set(name, JSON.parse(json));
  }
});

/** Returns a result of the guest. */
function result<T>(name: string): T {
  assert.ok(results.has(name), `the guest did not get to ${name}:\n${log}`);
  return results.get(name) as T;
}

for (const [where, name] of [
  ["on the host", "host"],
  ["in another container's network namespace (netns: all)", "container"],
]) {
  test(`a listener ${where} closes: its queue is lost, and with the sidecar it is not`, () => {
    assert.deepEqual(result<Queue>(`${name}-without`), { answered: 0, lost: 40 });
    assert.deepEqual(result<Queue>(`${name}-with`), { answered: 40, lost: 0 });
  });
}

test("an ingress's only container on the host network is replaced: no client is refused", () => {
  for (const { port, lost } of result<Replaced>("replaced-without").ports) {
    assert.ok((lost["refused"] ?? 0) > 0, `port ${port}: ${JSON.stringify(lost)}`);
  }
  for (const { port, lost, latencies } of result<Replaced>("replaced-with").ports) {
    assert.deepEqual(lost, {}, `port ${port}`);
    // It did happen while they connected: some waited for the new container.
    assert.ok(Math.max(...latencies) > 1e6, `port ${port}`);
  }
  assert.match(log, /held connections were handed over/);
});

test("the image is small: no compiler, package manager or other user land", () => {
  assert.deepEqual(programs, ["dash", "sh", "reuseport-migrate"]);
  assert.ok(result<number>("size") < 130e6, `${result("size")} bytes`);
});

test("the image's health check passes", () => assert.equal(result("healthy"), true));

test("SIGHUP reads the file again", () => assert.equal(result("reloaded"), true));

test("groups name the containers that own them", () => assert.equal(result("owners"), 2));

test("the DaemonSet's pod takes over what the container left attached", () => {
  assert.equal(result("took-over"), 2);
  assert.equal(result("end"), true);
});
