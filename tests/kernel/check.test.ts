/** `check` without SPECs (those: check_spec.test.ts): verdicts, self-test, nothing left behind. */
import assert from "node:assert/strict";
import { execFile, spawn } from "node:child_process";
import { readdirSync, readlinkSync } from "node:fs";
import { describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { promisify } from "node:util";
import { migrationFinding } from "../../loader/check/self_test.ts";
import { Observer } from "../../loader/observe/observer.ts";
import { Lab } from "../../loader/selftest/lab.ts";
import { tryMigration } from "../../loader/selftest/migration.ts";
import { probeWakeup } from "../../loader/selftest/wakeup.ts";
import { openFds } from "../helpers/host/fds.ts";
import { childrenOf, ended } from "../helpers/host/processes.ts";
import { BIN, runCli } from "../helpers/product/cli.ts";
import { BPFFS, scene } from "../helpers/scene/scene.ts";
import { until } from "../helpers/until.ts";
import { type Checked, check, probe } from "./check_json.ts";

const run = promisify(execFile);

const CAPABILITIES = ["bpf", "perfmon", "net_admin", "sys_ptrace"] as const;
const OPTIONAL = ["chown", "net_bind_service"] as const;

/** Root with these capabilities and no other. */
function under(capabilities: readonly string[]): string[] {
  const set = ["-all", ...capabilities.map((name) => `+${name}`)].join(",");
  return ["setpriv", `--bounding-set=${set}`, `--inh-caps=${set}`];
}

/** In a mount namespace of its own, after `script` has spoilt something there. */
const without = (script: string) => [
  ...["unshare", "--mount", "--propagation", "private"],
  ...["sh", "-ec", `${script}; exec "$@"`, "sh"],
];

/** With all capabilities that are documented, but no network namespace of its own to be had. */
const confined = [...under([...CAPABILITIES, ...OPTIONAL]), "env", "PATH=/nowhere"];

const netnsOf = (pid: string | number) => {
  try {
    return readlinkSync(`/proc/${pid}/ns/net`);
  } catch {
    return null; // ended, or not permitted
  }
};

/** Returns whether a process is in the network namespace. */
const inhabited = (netns: string | null) =>
  netns !== null && readdirSync("/proc").some((pid) => /^\d+$/.test(pid) && netnsOf(pid) === netns);

describe("this host", () => {
  test(
    "is fit, by every probe, and so is a group on it",
    scene(async (s) => {
      await s.listener();
      const short = await runCli(["check", s.spec]);
      const group = `127\\.0\\.0\\.1:${s.port}, netns \\d+: ready`;
      assert.match(
        short.stdout,
        new RegExp(`^host: fit \\((\\d+) of \\1 probes ok\\)\n\n${group}\n$`),
      );
      const run = await runCli(["check", s.spec, "--strict", "--verbose"]);
      assert.equal(run.code, 0, run.stdout + run.stderr);
      assert.match(run.stdout, /^ {2}ok {4}wakes accept /m);
      assert.match(run.stdout, /^ {2}ok {4}migrates handshake_timer +10 of 10 /m);
      assert.match(run.stdout, /^ {2}ok {4}tcp_migrate_req +0: not used /m);
      assert.match(run.stdout, new RegExp(`\n${group}\n {2}ok +owners `));
      assert.match(run.stdout, /^ {2}ok {4}attach +would work$/m);
      assert.match(run.stdout, /CVE-2026-46015: [\s\S]*6\.1\.175[\s\S]*6\.18\.27/);
    }),
  );

  test(
    "is fit with the documented capabilities, except for --hold, which needs two more",
    scene(async () => {
      const { code, report } = await check(under(CAPABILITIES));
      assert.equal(code, 0, JSON.stringify(report.probes, null, 1));
      assert.equal(report.verdict, "fit with warnings");
      assert.equal((await runCli(["check", "--strict"], under(CAPABILITIES))).code, 1);
      const warnings = report.probes.filter(({ outcome }) => outcome !== "ok");
      assert.deepEqual(
        warnings.map(({ name, outcome }) => `${name} ${outcome}`),
        ["CAP_CHOWN no", "CAP_NET_BIND_SERVICE no"],
      );
    }),
  );
});

describe("is not fit", () => {
  const notFit = ({ code, report }: Checked, name: string, says: RegExp) => {
    assert.equal(code, 1, JSON.stringify(report.probes, null, 1));
    assert.equal(report.verdict, "not fit");
    const { outcome, detail, advice } = probe(report, name);
    assert.equal(outcome, "no");
    assert.match(`${detail}: ${advice}`, says);
    // Probes that depend on it are not guessed.
    assert.equal(probe(report, "migrates accept_queue").outcome, "unknown");
  };

  for (const missing of CAPABILITIES) {
    const name = `CAP_${missing.toUpperCase()}`;
    test(
      `without ${name}`,
      scene(async () => {
        const rest = [...CAPABILITIES, ...OPTIONAL].filter((it) => it !== missing);
        notFit(
          await check(under(rest)),
          name,
          /root process lacks it \(needed to .*: grant what is missing \(unit/,
        );
      }),
    );
  }

  const lacking: [name: string, script: string, says: RegExp][] = [
    ["BTF", "mount -t tmpfs none /sys/kernel/btf", /CONFIG_DEBUG_INFO_BTF=y/],
    [
      "libbpf",
      "for so in /usr/lib/*/libbpf.so.1 /lib/*/libbpf.so.1; do mount --bind /dev/null $so; done",
      /apt-get install libbpf1/,
    ],
  ];
  for (const [name, script, says] of lacking) {
    test(
      `without ${name}`,
      scene(async () => notFit(await check(without(script)), name, says)),
    );
  }

  test(
    "without a bpf file system",
    scene(async () => {
      const { code, report } = await check([...without(`umount ${BPFFS}`), ...confined]);
      assert.equal(code, 1);
      assert.equal(probe(report, "bpffs").outcome, "no");
      assert.match(probe(report, "bpffs").detail, /mount -t bpf -o mode=0700 bpf \/sys\/fs\/bpf/);
      assert.equal(probe(report, "pins").outcome, "unknown");
    }),
  );

  test(
    "as another user",
    scene(async () => {
      const read = ["--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search"];
      const nobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", ...read];
      notFit(await check(nobody), "CAP_BPF", /\(not root\) lacks it/);
    }),
  );
});

describe("the self-test", () => {
  test(
    "sees lost connections in every stage",
    scene(async () => {
      using lab = await Lab.start();
      using observer = new Observer();
      const stages = ["accept_queue", "handshake_ack", "handshake_timer"] as const;
      for (const found of stages.map(async (stage) =>
        migrationFinding(await tryMigration(lab, observer, stage, "off")),
      )) {
        assert.deepEqual(await found, {
          outcome: "no",
          detail: "10 of 10 connections lost: ECONNRESET",
        });
      }
    }),
  );

  test(
    "without permission to make a network namespace: check is unknown, probeWakeup() works",
    scene(async () => {
      const { code, report } = await check(confined);
      assert.equal(code, 0, JSON.stringify(report.probes, null, 1));
      assert.match(probe(report, "netns").detail, /no network namespace .* CAP_SYS_ADMIN/);
      assert.equal(probe(report, "migrates accept_queue").outcome, "unknown");

      const wakeup = new URL("../../loader/selftest/wakeup.js", import.meta.url);
      const script = `import("${wakeup}").then(async (it) => console.log(await it.probeWakeup()))`;
      const [command = "", ...args] = [...confined, process.execPath, "-e", script];
      assert.equal((await run(command, args)).stdout, "woken\n");
    }),
  );
});

describe("nothing stays", () => {
  test(
    "of probeWakeup()",
    scene(async () => {
      await probeWakeup(); // opens what Node and libbpf open once and keep
      const before = openFds();
      assert.equal(await probeWakeup(), "woken");
      const added = () => openFds().filter((fd) => !before.includes(fd));
      await until("its file descriptors are closed", () => added().length === 0);
      await until("its process has ended", () => childrenOf(process.pid).every(ended));
    }),
  );

  for (const afterMs of [500, 1_000]) {
    test(
      `of one that is killed after ${afterMs} ms`,
      scene(async () => {
        const run = spawn(process.execPath, [BIN, "check"], { stdio: "ignore" });
        const gone = new Promise((resolve) => run.once("exit", resolve));
        await sleep(afterMs);
        const labs = childrenOf(run.pid ?? 0);
        const lab = labs.map(netnsOf).find((it) => it !== netnsOf("self")) ?? null;
        run.kill("SIGKILL");
        await gone;
        await until("the self-test's process has ended", () => labs.every(ended));
        await until("its network namespace is empty", () => !inhabited(lab));
        await runCli(["detach", "--all"]); // the next lock removes unfinished pins
      }),
    );
  }
});
