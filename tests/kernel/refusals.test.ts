/** What is refused, in which words, and that nothing is left behind (the scene looks). */
import assert from "node:assert/strict";
import { mkdirSync, rmdirSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { describe, test } from "node:test";
import {
  AbiMismatchError,
  ForeignProgramError,
  LockedError,
  NoMatchError,
  Sidecar,
} from "../../loader/index.ts";
import { runCli } from "../helpers/cli.ts";
import { tally } from "../helpers/peer.ts";
import { BPFFS, type Scene, scene } from "../helpers/scene.ts";
import { groupOf } from "../helpers/status.ts";

/** A second directory to pin in: a sidecar there knows nothing of the first one's. */
function otherBpffs(s: Scene): string {
  const path = `${BPFFS}/other`;
  mkdirSync(path);
  s.defer(() => rmdirSync(path));
  return path;
}

describe("a foreign program", () => {
  test(
    "classic filter: refused, then replaced",
    scene(async (s) => {
      const listener = await s.listener();
      await listener.serve();
      await listener.filter();
      assert.throws(() => s.sidecar(), ForeignProgramError);
      const run = await runCli(["attach", s.spec, "--once"]);
      assert.equal(run.code, 7, run.stderr);
      assert.match(run.stderr, /--replace/);
      s.sidecar({ replace: true });
      assert.equal(groupOf(s.port).attached, true);
      assert.deepEqual(await tally(await s.peers(5)), { [listener.process.pid]: 5 });
    }),
  );

  test(
    "eBPF: refused with its id and name, then replaced",
    scene(async (s) => {
      await s.listener();
      const other = otherBpffs(s);
      const first = s.sidecar({ bpffs: other });
      const { programId } = groupOf(s.port, other);
      const refused = (error: Error) => {
        assert.ok(error instanceof ForeignProgramError, String(error));
        assert.match(error.message, new RegExp(`\\b${programId}\\b.*select_listener`));
        return true;
      };
      assert.throws(() => s.sidecar(), refused);
      const run = await runCli(["attach", s.spec, "--once", "--bpffs", BPFFS]);
      assert.equal(run.code, 7, run.stderr);
      assert.equal(groupOf(s.port, other).attached, true);
      first.close({ keep: false });
    }),
  );
});

describe("a second sidecar of the same group", () => {
  test(
    "is refused, and the first goes on",
    scene(async (s) => {
      await s.listener();
      s.sidecar();
      assert.throws(() => s.sidecar(), LockedError);
      const run = await runCli(["attach", s.spec, "--once"]);
      assert.equal(run.code, 7, run.stderr);
      assert.match(run.stderr, new RegExp(`\\b${process.pid}\\b`));
      assert.equal(groupOf(s.port).attached, true);
    }),
  );
});

describe("no listener matches", () => {
  const says = (pattern: RegExp) => (error: Error) => {
    assert.ok(error instanceof NoMatchError, String(error));
    assert.match(error.message, pattern);
    return true;
  };

  test(
    "nothing listens there",
    scene(async (s) => {
      assert.throws(() => s.sidecar(), NoMatchError);
      const run = await runCli(["attach", s.spec, "--once"]);
      assert.equal(run.code, 4, run.stderr);
    }),
  );
  test(
    "no SO_REUSEPORT",
    scene(async (s) => {
      const listener = await s.listener({ reuseport: false });
      assert.throws(() => s.sidecar(), says(/SO_REUSEPORT/));
      assert.throws(() => s.sidecar(), says(new RegExp(`\\b${listener.process.pid}\\b`)));
    }),
  );
  test(
    "UDP",
    scene(async (s) => {
      await s.listener({ udp: true });
      assert.throws(() => s.sidecar(), says(/UDP/));
    }),
  );
  test(
    "MPTCP",
    scene(async (s) => {
      await s.listener({ mptcp: true });
      assert.throws(() => s.sidecar(), says(/MPTCP/));
    }),
  );
  test(
    "another address",
    scene(async (s) => {
      await s.listener({ address: "127.0.0.2" });
      assert.throws(() => s.sidecar(), says(/127\.0\.0\.2/));
    }),
  );
});

describe("malformed", () => {
  for (const args of [["attach", "8080"], ["attach"], ["attach", ":1", "--migrate", "maybe"]]) {
    test(
      args.join(" "),
      scene(async () => {
        const run = await runCli(args);
        assert.equal(run.code, 2, run.stderr);
        assert.equal(run.stdout, "");
      }),
    );
  }
});

describe("pinned state of another version", () => {
  test(
    "is refused with all differences, and detach removes it",
    scene(async (s) => {
      await s.listener();
      s.sidecar().close({ keep: true });
      const directory = `${BPFFS}/reuseport-migrate/${groupOf(s.port).name}`;
      rmSync(`${directory}/plans`);
      rmSync(`${directory}/counters`);
      const listed = (error: Error) => {
        assert.ok(error instanceof AbiMismatchError, String(error));
        assert.equal(error.differences.length, 2, error.message);
        for (const map of ["plans", "counters"]) assert.match(error.message, new RegExp(map));
        return true;
      };
      assert.throws(() => s.sidecar(), listed);
      const attach = await runCli(["attach", s.spec, "--once"]);
      assert.equal(attach.code, 7, attach.stderr);
      const detach = await runCli(["detach", "--all"]);
      assert.equal(detach.code, 0, detach.stderr);
    }),
  );
});

describe("the port of /metrics is taken", () => {
  test(
    "exit 7, nothing attached",
    scene(async (s) => {
      await s.listener();
      const server = createServer().listen(0, "127.0.0.1");
      await new Promise((resolve) => server.once("listening", resolve));
      const { port } = server.address() as { port: number };
      const run = await runCli(["attach", s.spec, "--metrics", String(port)]);
      server.close();
      assert.equal(run.code, 7, run.stderr);
      assert.match(run.stderr, new RegExp(`\\b${port}\\b`));
      // Nothing of it stays in the group: no program is foreign to the next one.
      s.sidecar();
    }),
  );
});

void Sidecar;
