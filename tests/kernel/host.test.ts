/** A host that lacks something: one sentence with what to do, exit 6, nothing left. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { runCli } from "../helpers/product/cli.ts";
import { BPFFS, scene } from "../helpers/scene/scene.ts";

/** Runs the command in a mount namespace of its own, after `script` has spoilt something there. */
const without = (script: string) => [
  ...["unshare", "--mount", "--propagation", "private"],
  ...["sh", "-ec", `${script}; exec "$@"`, "sh"],
];

const lacking: [what: string, script: string, says: RegExp][] = [
  ["a bpf file system", `umount ${BPFFS}`, /run 'mount -t bpf -o mode=0700 bpf \/sys\/fs\/bpf'/],
  ["BTF", "mount -t tmpfs none /sys/kernel/btf", /CONFIG_DEBUG_INFO_BTF=y/],
  [
    "libbpf",
    "for so in /usr/lib/*/libbpf.so.1 /lib/*/libbpf.so.1; do mount --bind /dev/null $so; done",
    /apt-get install libbpf1/,
  ],
];

describe("a host without", () => {
  for (const [what, script, says] of lacking) {
    test(
      what,
      scene(async (s) => {
        await s.listener();
        const run = await runCli(["attach", s.spec, "--once"], without(script));
        assert.equal(run.code, 6, run.stderr);
        assert.match(run.stderr, says);
        assert.equal(run.stderr.trim().split("\n").length, 1, run.stderr);
      }),
    );
  }

  test(
    "libbpf still has help",
    scene(async () => {
      const [, script = ""] = lacking[2] ?? [];
      const run = await runCli(["attach", "--help"], without(script));
      assert.equal(run.code, 0, run.stderr);
      assert.match(run.stdout, /--route/);
    }),
  );
});

describe("--bpffs", () => {
  for (const [directory, says] of [
    ["/no/such/directory", /there is no such directory/],
    ["/tmp", /is not on a bpf file system.*mount -t bpf -o mode=0700 bpf \/tmp/],
  ] as const) {
    test(
      `${directory} is refused`,
      scene(async (s) => {
        await s.listener();
        const run = await runCli(["attach", s.spec, "--once", "--bpffs", directory]);
        assert.equal(run.code, 2, run.stderr);
        assert.match(run.stderr, says);
      }),
    );
  }
});
