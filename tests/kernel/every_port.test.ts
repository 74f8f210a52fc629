/** SPEC `:*`: every listener with SO_REUSEPORT, whatever its port, except those left out. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { runCli } from "../helpers/product/cli.ts";
import { SidecarProcess } from "../helpers/product/sidecar.ts";
import { type Scene, scene } from "../helpers/scene/scene.ts";
import { until } from "../helpers/until.ts";

interface Group {
  readonly port: number;
  readonly attached: boolean;
}

async function groups(): Promise<Group[]> {
  const { stdout } = await runCli(["status", "--json"]);
  return (JSON.parse(stdout) as { groups: Group[] }).groups;
}

async function attach(s: Scene, ...args: string[]): Promise<SidecarProcess> {
  const sidecar = await SidecarProcess.attach(...args, "--metrics", "off");
  s.defer(() => sidecar[Symbol.asyncDispose]());
  return sidecar;
}

test(
  "covers what listens and what listens later; not what --except names, nor without SO_REUSEPORT",
  scene(async (s) => {
    const [other, left, later, lacks] = [1, 2, 3, 4].map((n) => s.port + n * 1_000) as [
      number,
      number,
      number,
      number,
    ];
    const process = await s.process();
    const open = (port: number, more = {}) => process.open({ address: s.address, port, ...more });
    for (const port of [s.port, other, left]) await open(port);
    await open(lacks, { reuseport: false });
    const sidecar = await attach(s, ":*", "--except", `:${left},:9`);
    const ports = async () => (await groups()).map(({ port }) => port).sort((a, b) => a - b);
    assert.deepEqual(await ports(), [s.port, other]);
    assert.equal(sidecar.warnings().join("\n"), "");

    await open(later);
    const attached = `attached 127.0.0.1:${later}`;
    await until("a new port is attached", () => sidecar.output().includes(attached));
    assert.deepEqual(await ports(), [s.port, other, later]);
    assert.match(sidecar.output(), /^READY groups=2 listeners=2 metrics=off$/m);

    // A second one finds all of them managed, and only the one that was left out is free.
    const check = await runCli(["check", ":*"]);
    assert.equal(check.code, 0, check.stdout);
    assert.match(check.stdout, new RegExp(`127\\.0\\.0\\.1:${left}, netns \\d+: ready`));
    assert.doesNotMatch(check.stdout, new RegExp(`:${lacks}`));
    const detach = await runCli(["detach", ":*"]);
    assert.equal(detach.code, 0, detach.stderr);
    assert.deepEqual(await ports(), []);
  }),
);

test(
  "moves connections of a port that no SPEC names",
  scene(async (s) => {
    const old = await s.listener();
    const sidecar = await attach(s, ":*");
    const next = await s.listener();
    await until("both are targets", () => /slot 1, generation/.test(sidecar.output()));
    await s.peers(10);
    await old.leave("SIGKILL");
    await next.serve();
    await until("they moved", () => / waiting connections? moved from /.test(sidecar.output()));
  }),
);

test(
  "is an error where no listener sets SO_REUSEPORT",
  scene(async (s) => {
    await s.listener({ reuseport: false });
    const run = await runCli(["attach", ":*", "--once"]);
    assert.equal(run.code, 4, run.stderr);
    assert.match(run.stderr, /matches :\*: no TCP listener sets it \(--wait/);
  }),
);
