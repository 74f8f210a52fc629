/**
 * `attach_main.js COMMAND PATH`, in the sandbox: attaches with an installed command to a live
 * reuseport listener, once and as a sidecar, checks the status, and detaches.
 */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { ListenerProcess } from "../helpers/servers/listener.ts";
import { until } from "../helpers/until.ts";
import { Command } from "./command.ts";

const PORT = 18080;
const PINS = "/sys/fs/bpf/reuseport-migrate";
const SPEC = [`127.0.0.1:${PORT}`, "--netns", String(process.pid)];

async function attachOnce(command: Command): Promise<void> {
  const output = await command.run("attach", ...SPEC, "--once");
  assert.match(output, /^ATTACHED groups=1 listeners=1$/m);
  const [group] = (await command.status()).groups;
  assert.equal(group?.port, PORT);
  assert.equal(group.attached, true);
  await command.run("detach", SPEC[0] as string);
  assert.equal(existsSync(PINS), false, "pins are left after detach");
}

async function attachSidecar(command: Command, second: () => Promise<unknown>): Promise<void> {
  const stdio = ["ignore", "pipe", "inherit"] as const;
  const child = spawn(command.path, ["attach", ...SPEC, "--metrics", "9944"], {
    env: command.env,
    cwd: "/",
    stdio: [...stdio],
  });
  const exit = once(child, "exit");
  try {
    let output = "";
    child.stdout.setEncoding("utf8").on("data", (text: string) => {
      output += text;
    });
    await until("READY", () => /^READY groups=1 listeners=1 /m.test(output));
    await second();
    await until("the second listener is a target", async () => {
      const [group] = (await command.status()).groups;
      return group?.listeners.filter(({ role }) => role === "target").length === 2;
    });
    const metrics = await (await fetch("http://127.0.0.1:9944/metrics")).text();
    assert.match(metrics, /^reuseport_migrate_groups\{.*\} 1$/m);
    child.kill("SIGTERM");
    assert.deepEqual(await exit, [0, null]);
    assert.equal(existsSync(PINS), false, "pins are left after SIGTERM");
  } finally {
    child.kill("SIGKILL");
  }
}

const [path, PATH] = process.argv.slice(2) as [string, string];
const command = new Command(path, PATH);
const server = await ListenerProcess.start();
const listen = () => server.open({ address: "127.0.0.1", port: PORT });
await listen();
await attachOnce(command);
await attachSidecar(command, listen);
await server.kill();
