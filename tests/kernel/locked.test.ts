/** Listeners whose owners keep us away: with SO_LOCK_FILTER, or in another user namespace. */
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { describe, test } from "node:test";
import { promisify } from "node:util";
import { FilterLockedError } from "../../loader/index.ts";
import { SO_LOCK_FILTER, SOL_SOCKET } from "../../loader/sys/libc.ts";
import { tally } from "../helpers/load/peer.ts";
import { runCli } from "../helpers/product/cli.ts";
import { scene } from "../helpers/scene/scene.ts";
import { groupOf } from "../helpers/scene/status.ts";

const BORROW = new URL("../../loader/lender/lender.js", import.meta.url).href;
const LOCKED = { options: [{ level: SOL_SOCKET, name: SO_LOCK_FILTER, value: 1 }] };

describe("SO_LOCK_FILTER", () => {
  test(
    "on every listener: refused with its pid, nothing is left behind; check says so",
    scene(async (s) => {
      const { process } = await s.listener(LOCKED);
      await assert.rejects(() => s.sidecar(), FilterLockedError);
      const run = await runCli(["attach", s.spec, "--once"]);
      assert.equal(run.code, 7, run.stderr);
      const says = `SO_LOCK_FILTER is set on the listener of .*pid ${process.pid}.*locked its filters`;
      assert.match(run.stderr, new RegExp(says));
      const check = await runCli(["check", s.spec]);
      assert.equal(check.code, 1, check.stdout);
      assert.match(check.stdout, /filters: SO_LOCK_FILTER/);
    }),
  );

  test(
    "on one of two: attached through the other, and it takes part",
    scene(async (s) => {
      const locked = await s.listener(LOCKED);
      const open = await s.listener();
      await open.serve();
      await s.sidecar();
      assert.equal(groupOf(s.port).attached, true);
      const peers = await s.peers(20);
      await locked.close();
      assert.deepEqual(await tally(peers), { [open.process.pid]: 20 });
    }),
  );
});

describe("another user namespace", () => {
  const USERNS = ["unshare", "--user", "--map-root-user"];

  test(
    "below ours: covered like any other",
    scene(async (s) => {
      const inside = await s.process(USERNS);
      const closing = await s.listener({}, inside);
      const next = await s.listener({}, await s.process(USERNS));
      await next.serve();
      await s.sidecar();
      const peers = await s.peers(20);
      await closing.close();
      assert.deepEqual(await tally(peers), { [next.process.pid]: 20 });
    }),
  );

  test(
    "without the right to borrow from it: said, with the right that is missing",
    scene(async (s) => {
      const read = ["--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search"];
      const as = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", ...read];
      const { process: owner, cookie } = await s.listener({}, await s.process([...as, ...USERNS]));
      const listener = `{ cookie: ${cookie}n, owners: [{ pid: ${owner.pid}, fd: 3, comm: "it" }] }`;
      const script = `import { borrow } from ${JSON.stringify(BORROW)}; borrow(${listener}, []);`;
      const without = ["--bounding-set=-sys_ptrace", "--inh-caps=-sys_ptrace"];
      const run = promisify(execFile);
      const args = [...without, process.execPath, "--input-type=module", "-e", script];
      await assert.rejects(run("setpriv", args), /another user namespace.*CAP_SYS_PTRACE/);
    }),
  );
});
