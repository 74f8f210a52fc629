/** What is refused, in which words, and that nothing is left behind (the scene looks). */
import assert from "node:assert/strict";
import { mkdirSync, rmdirSync } from "node:fs";
import { describe, test } from "node:test";
import {
  AlreadyManagedError,
  ForeignProgramError,
  LockedError,
  NoMatchError,
} from "../../loader/index.ts";
import { tally } from "../helpers/load/peer.ts";
import { runCli } from "../helpers/product/cli.ts";
import { BPFFS, type Scene, scene } from "../helpers/scene/scene.ts";
import { groupOf } from "../helpers/scene/status.ts";
import { until } from "../helpers/until.ts";

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
      await assert.rejects(() => s.sidecar(), ForeignProgramError);
      const run = await runCli(["attach", s.spec, "--once"]);
      assert.equal(run.code, 7, run.stderr);
      assert.match(run.stderr, /--replace/);
      await s.sidecar({ replace: true });
      assert.equal(groupOf(s.port).attached, true);
      assert.deepEqual(await tally(await s.peers(5)), { [listener.process.pid]: 5 });
    }),
  );

  test(
    "eBPF: refused with its id and name, then replaced",
    scene(async (s) => {
      await s.listener();
      const other = otherBpffs(s);
      const first = await s.sidecar({ bpffs: other });
      const { programId } = groupOf(s.port, other);
      const refused = (error: Error) => {
        assert.ok(error instanceof ForeignProgramError, String(error));
        assert.match(error.message, new RegExp(`\\b${programId}\\b.*select_listener`));
        return true;
      };
      await assert.rejects(() => s.sidecar(), refused);
      const run = await runCli(["attach", s.spec, "--once", "--bpffs", BPFFS]);
      assert.equal(run.code, 7, run.stderr);
      assert.equal(groupOf(s.port, other).attached, true);

      await s.sidecar({ replace: true });
      await first.reconcile(); // leaves the other's program alone, and so does its end
      await first.close();
      assert.equal(groupOf(s.port).attached, true);
    }),
  );
});

describe("a listener in somebody's REUSEPORT_SOCKARRAY", () => {
  test(
    "is refused as already managed",
    scene(async (s) => {
      const listener = await s.listener();
      await listener.sockarray();
      await assert.rejects(() => s.sidecar(), AlreadyManagedError);
      const run = await runCli(["attach", s.spec, "--once"]);
      assert.equal(run.code, 7, run.stderr);
      assert.match(run.stderr, new RegExp(`\\b${listener.process.pid}\\b`));
    }),
  );
});

describe("a second sidecar of the same group", () => {
  test(
    "is refused, and the first goes on",
    scene(async (s) => {
      await s.listener();
      await s.sidecar();
      await assert.rejects(() => s.sidecar(), LockedError);
      const run = await runCli(["attach", s.spec, "--once"]);
      assert.equal(run.code, 7, run.stderr);
      assert.match(run.stderr, new RegExp(`\\b${process.pid}\\b`));
      assert.equal(groupOf(s.port).attached, true);
    }),
  );
});

describe("a refusal concerns one group", () => {
  test(
    "when one group of a SPEC refuses, the others are attached",
    scene(async (s) => {
      const process = await s.process();
      await s.listener({}, process);
      const other = await s.listener({ address: "::1" }, process);
      await other.filter();
      const sidecar = await s.sidecar({ spec: `:${s.port}` });
      const { groups, admission } = await sidecar.status();
      assert.deepEqual(
        groups.map(({ key, attached }) => [key.family, attached]),
        [["ipv4", true]],
      );
      assert.equal(admission?.refused.get("foreign_program"), 1);
      const [warning = ""] = s.log.flatMap(({ level, text }) => (level === "warn" ? text : []));
      const who = `pid ${process.pid}, uid 0`;
      assert.match(
        warning,
        new RegExp(`^\\[::1\\]:${s.port} in netns own \\(\\d+\\) \\(.*${who}.*--replace`),
      );
    }),
  );

  test(
    "it is attached as soon as the reason is gone, and every other group stays attached",
    scene(async (s) => {
      const process = await s.process();
      await s.listener({}, process);
      const other = await s.listener({ address: "::1" }, process);
      await other.filter();
      const sidecar = await s.sidecar({ spec: `:${s.port}` });
      sidecar.watch();
      await other.close();
      await s.listener({ address: "::1" }, process);
      await until("both are attached", async () => {
        const { groups } = await sidecar.status();
        return groups.length === 2 && groups.every(({ attached }) => attached);
      });
    }),
  );

  test(
    "a group of another sidecar stays with it",
    scene(async (s) => {
      const process = await s.process();
      await s.listener({}, process);
      await s.listener({ address: "::1" }, process);
      const spec = `:${s.port}`;
      await s.sidecar({ spec: `[::1]:${s.port}` });
      const second = await s.sidecar({ spec });
      assert.equal((await second.status()).groups.length, 1);
      await assert.rejects(() => s.sidecar({ spec }), LockedError);
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
      await assert.rejects(() => s.sidecar(), NoMatchError);
      const run = await runCli(["attach", s.spec, "--once"]);
      assert.equal(run.code, 4, run.stderr);
    }),
  );
  test(
    "no SO_REUSEPORT",
    scene(async (s) => {
      const listener = await s.listener({ reuseport: false });
      await assert.rejects(() => s.sidecar(), says(/SO_REUSEPORT/));
      await assert.rejects(() => s.sidecar(), says(new RegExp(`\\b${listener.process.pid}\\b`)));
    }),
  );
  test(
    "UDP",
    scene(async (s) => {
      await s.listener({ udp: true });
      await assert.rejects(() => s.sidecar(), says(/UDP/));
    }),
  );
  test(
    "MPTCP without SO_REUSEPORT",
    scene(async (s) => {
      await s.listener({ mptcp: true, reuseport: false });
      await assert.rejects(() => s.sidecar(), says(/mptcp .*does not set SO_REUSEPORT/));
    }),
  );
  test(
    "another address",
    scene(async (s) => {
      await s.listener({ address: "127.0.0.2" });
      await assert.rejects(() => s.sidecar(), says(/127\.0\.0\.2/));
    }),
  );
});

describe("filters", () => {
  test(
    "say what they exclude",
    scene(async (s) => {
      await s.listener();
      const says = (pattern: RegExp) => (error: Error) =>
        error instanceof NoMatchError && pattern.test(error.message);
      await assert.rejects(
        () => s.sidecar({ filter: { pid: process.pid } }),
        says(/does not hold it/),
      );
      await assert.rejects(() => s.sidecar({ filter: { netns: 1 } }), says(/network namespace/));
      await assert.rejects(() => s.sidecar({ filter: { cgroup: "/nowhere" } }), says(/cgroup/));
    }),
  );
});

describe("malformed", () => {
  for (const args of [
    ["attach", "localhost:8080"],
    ["attach"],
    ["attach", ":1", "--migrate", "maybe"],
  ]) {
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
