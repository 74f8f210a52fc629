/**
 * `service_main.js UNIT`, in the sandbox: plays systemd for the installed unit: its command, its
 * capabilities, NoNewPrivileges and the notify socket.
 */
import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { TempDir } from "../helpers/host/child.ts";
import { NotifySocket } from "../helpers/host/notify_socket.ts";
import { ListenerProcess } from "../helpers/servers/listener.ts";
import { until } from "../helpers/until.ts";
import { Command } from "./command.ts";
import { UnitFile } from "./unit_file.ts";

const PORT = 18080;
const PINS = "/sys/fs/bpf/reuseport-migrate";
const PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin"; // the PATH of systemd
const ENVIRONMENT = { SPECS: `127.0.0.1:${PORT} [::1]:${PORT}`, OPTIONS: `--netns ${process.pid}` };

const unit = new UnitFile(process.argv[2] as string);
const service = new Command(unit.command(ENVIRONMENT)[0] as string, PATH);

type Environment = Readonly<Record<string, string>>;

/** Returns the capability bounding set of a process. */
function bounding(pid: number | undefined): bigint {
  const line = /^CapBnd:\s*([0-9a-f]+)$/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"));
  return BigInt(`0x${line?.[1]}`);
}

function start(notify: string, environment: Environment): ChildProcess {
  const drop = ["--bounding-set", unit.boundingSet(), "--inh-caps", "-all", "--no-new-privs"];
  return spawn("setpriv", [...drop, ...unit.command(environment)], {
    env: { PATH, ...environment, NOTIFY_SOCKET: notify },
    cwd: "/",
    stdio: ["ignore", "ignore", "inherit"],
  });
}

/** Starts the service, runs `whileReady` after READY=1, and ends it with SIGTERM. */
async function runService(
  dir: TempDir,
  name: string,
  whileReady: (reload: () => Promise<void>) => Promise<void>,
  environment: Environment = ENVIRONMENT,
): Promise<void> {
  const path = dir.file(name);
  using socket = new NotifySocket(path);
  const child = start(path, environment);
  // Sends the signal of ExecReload= and waits for READY=1, as systemd does.
  const reload = async () => {
    const before = socket.received().length;
    child.kill("SIGHUP");
    await until("the service has reloaded", () =>
      socket.received().slice(before).includes("READY=1"),
    );
  };
  const exit = once(child, "exit");
  try {
    await until("READY=1", () => {
      assert.equal(child.exitCode, null, "the service ended before READY=1");
      return socket.received().includes("READY=1");
    });
    const allowed = unit.get("CapabilityBoundingSet").split(" ").length;
    assert.equal(bounding(child.pid).toString(2).replaceAll("0", "").length, allowed);
    await whileReady(reload);
    child.kill("SIGTERM");
    assert.deepEqual(await exit, [0, null]);
    assert.ok(socket.received().includes("STOPPING=1"), "STOPPING=1 was not sent");
  } finally {
    child.kill("SIGKILL");
  }
}

async function attached(groups: number): Promise<void> {
  await until(`${groups} groups are attached`, async () => {
    const status = await service.status();
    return status.groups.filter((group) => group.attached).length === groups;
  });
}

using dir = new TempDir();
const server = await ListenerProcess.start();
// Boot: the service starts before the server.
await runService(dir, "boot", async () => {
  await server.open({ address: "127.0.0.1", port: PORT });
  await attached(1);
});
await attached(1);
// Restart: the service takes over the attached group, and finds a listener that opened meanwhile.
await server.open({ address: "::1", port: PORT });
await runService(dir, "restart", () => attached(2));
// A config file instead of SPEC: the service takes over, and `systemctl reload` reads the file
// again.
const config = dir.file("config.yaml");
const services = (last: string) =>
  writeFileSync(
    config,
    JSON.stringify({
      services: {
        app: { listen: [`127.0.0.1:${PORT}`, ...(last ? [last] : [])], netns: process.pid },
      },
    }),
  );
services("");
await runService(
  dir,
  "config",
  async (reload) => {
    assert.equal((await service.status()).groups.length, 2, "the other group was not kept");
    services(`[::1]:${PORT}`);
    await reload();
    await attached(2);
  },
  { SPECS: "", OPTIONS: `--config ${config}` },
);
for (const group of (await service.status()).groups) {
  assert.equal(group.attachments, 1, "a restart attached the group again");
}
await service.run("detach", "--all");
assert.equal(existsSync(PINS), false, "pins are left after detach --all");
await server.kill();
