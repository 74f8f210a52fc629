/**
 * `debian_main.js ROOT DIR`, in the sandbox: the life of the package in a Debian without Node, on
 * the packages FIRST and NEXT in DIR: install, check, attach, upgrade over a running sidecar under
 * load, remove, purge.
 */
import assert from "node:assert/strict";
import { copyFileSync, existsSync, mkdirSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { Child, TempDir } from "../helpers/host/child.ts";
import { type Kind, lost, type Tally } from "../helpers/load/client.ts";
import { LoadClient } from "../helpers/load/client_load.ts";
import { setSysctl } from "../helpers/net/sysctl.ts";
import { ReloadingServer } from "../helpers/servers/reloading_server.ts";
import { UnitFile } from "../install/unit_file.ts";
import { FIRST, NEXT } from "./built.ts";
import { Chroot } from "./chroot.ts";

const PORT = 18080;
/** How long both generations listen: with --route newest the older one has nothing half-open then. */
const OVERLAP_MS = 50;
const PINS = "/sys/fs/bpf/reuseport-migrate";
const UNIT = "usr/lib/systemd/system/reuseport-migrate.service";
const WANTS = "etc/systemd/system/multi-user.target.wants";

const [root, packages] = process.argv.slice(2) as [string, string];
const debian = new Chroot(root);
using logs = new TempDir();
let starts = 0;
let sidecar: Child | undefined;

/** Starts the service as its unit says. */
async function startSidecar(): Promise<void> {
  const unit = new UnitFile(join(root, UNIT));
  const line = unit.command({
    SPECS: `:${PORT}`,
    OPTIONS: `--route newest --netns ${process.pid}`,
  });
  const [command, ...args] = debian.command(...line);
  const child = new Child(command, args, logs.file(`sidecar-${++starts}`));
  sidecar = child;
  await child.until("READY", () => /^READY /m.test(child.output()));
}

async function stopSidecar(): Promise<void> {
  assert.equal(await sidecar?.stop(), 0, sidecar?.output());
}

/** Does what systemd would, for the two calls of the maintainer scripts that matter. */
async function systemd(asked: string): Promise<void> {
  if (!sidecar?.running) return;
  await stopSidecar();
  if (asked.includes("try-restart")) await startSidecar();
}

interface Group {
  readonly port: number;
  readonly attachments: number;
}

async function groups(): Promise<Group[]> {
  const status = await debian.run("reuseport-migrate", "status", "--json");
  return (JSON.parse(status) as { groups: Group[] }).groups;
}

/** Reloads a busy server as long as `during` takes, and at least ten times. */
async function underReloads(during: () => Promise<void>): Promise<Tally> {
  using server = await ReloadingServer.start({ port: PORT, listeners: 2, stallMs: 10 });
  using load = await LoadClient.start({ port: PORT, concurrency: 16, rate: 400, limit: 1e9 });
  let isOver = false;
  const work = during().finally(() => {
    isOver = true;
  });
  for (let reloads = 0; reloads < 10 || !isOver; reloads++) {
    await server.reload("open");
    await sleep(OVERLAP_MS);
    await server.reload("close");
  }
  await work;
  return await load.stop();
}

const losses = (tally: Tally): string =>
  (Object.entries(tally) as [Kind, number][]).map(([kind, n]) => `${kind} ${n}`).join(", ");

setSysctl("net.ipv4.tcp_migrate_req", 0);
await debian.mount();
for (const version of [FIRST, NEXT]) {
  copyFileSync(join(packages, `${version}.deb`), join(root, `tmp/${version}.deb`));
}
const before = await debian.files();

// Install: with what Debian has, which is no Node.
await debian.apt("install", `/tmp/${FIRST}.deb`);
assert.equal(debian.has("usr/bin/node"), false);
assert.match(await debian.run("reuseport-migrate", "--version"), /\d+\.\d+\.\d+/);
const verdict = await debian.run("sh", "-c", "reuseport-migrate check; echo exit code $?");
assert.match(verdict, /^exit code [02]$/m, verdict); // 2: fit, with warnings about this machine

// Without the sidecar the same reloads lose connections.
const without = await underReloads(async () => {});
assert.ok(lost(without) > 0, `nothing to lose: ${losses(without)}`);

// Attach, and upgrade over the running sidecar.
const manager = debian.playSystemd(systemd);
mkdirSync(join(root, WANTS), { recursive: true });
symlinkSync(`/${UNIT}`, join(root, WANTS, "reuseport-migrate.service"));
await startSidecar();
const during = await underReloads(async () => {
  await sidecar?.until("a group is attached", async () => (await groups()).length > 0);
  await debian.run("dpkg", "--install", `/tmp/${NEXT}.deb`);
});
const installed = await debian.run("dpkg-query", "--show", "reuseport-migrate");
assert.equal(installed.trim(), `reuseport-migrate	${NEXT}`);
assert.equal(starts, 2, "the upgrade did not restart the sidecar");
const calls = manager.calls();
assert.ok(
  calls.some((call) => call.includes("daemon-reload")),
  calls.join("\n"),
);
assert.ok(
  !calls.some((call) => /\b(stop|restart|enable|start)\b/.test(call.replace("try-restart", ""))),
  calls.join("\n"),
);
assert.equal(lost(during), 0, losses(during));
for (const group of await groups()) assert.equal(group.attachments, 1, "attached again");

// Remove: nothing stays attached. Purge: no file stays.
await debian.run("dpkg", "--remove", "reuseport-migrate");
assert.equal(sidecar?.running, false, "the sidecar runs after the removal");
assert.equal(existsSync(PINS), false, "pins are left after the removal");
assert.equal(debian.has("etc/default/reuseport-migrate"), true, "the removal took a conffile");
await debian.run("dpkg", "--purge", "reuseport-migrate");
await debian.apt("autoremove");
await manager.stop();
assert.deepEqual(await debian.files(), before);
process.stdout.write(`without: ${losses(without)}; upgraded meanwhile: ${losses(during)}\n`);
