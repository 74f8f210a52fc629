/** Local users who keep connections to /metrics, so that the sidecar has no descriptor left. */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { readdirSync } from "node:fs";
import { connect, type Socket } from "node:net";
import { test } from "node:test";
import { SidecarProcess } from "../helpers/product/sidecar.ts";
import { type Scene, scene } from "../helpers/scene/scene.ts";
import { groupOf } from "../helpers/scene/status.ts";
import { until } from "../helpers/until.ts";

const CONNECTIONS = 600;
/** Descriptors that the sidecar may still open; without a limit the connections take them all. */
const FREE = 100;

/** Opens idle connections; they are closed at the end. */
function idle(s: Scene, url: string): Socket[] {
  const { hostname, port } = new URL(url);
  const sockets = Array.from({ length: CONNECTIONS }, () => connect(Number(port), hostname));
  for (const socket of sockets) socket.on("error", () => {});
  s.defer(() => {
    for (const socket of sockets) socket.destroy();
  });
  return sockets;
}

const descriptors = (pid: number) => readdirSync(`/proc/${pid}/fd`).length;

test(
  "600 idle connections: scrapes are answered, and new listeners become targets",
  scene(async (s) => {
    await s.listener();
    await using sidecar = await SidecarProcess.attach(s.spec);
    const before = descriptors(sidecar.pid);
    execFileSync("prlimit", ["--pid", `${sidecar.pid}`, `--nofile=${before + FREE}`]);
    const sockets = idle(s, sidecar.metricsUrl);
    await until("most are closed by the sidecar", () => {
      const open = sockets.filter(({ closed }) => !closed).length;
      return open <= 40;
    });
    assert.ok(descriptors(sidecar.pid) <= before + 40, `${descriptors(sidecar.pid)} descriptors`);
    const [, dropped = ""] =
      /http_connections_dropped_total (\d+)/.exec(await sidecar.metrics()) ?? [];
    assert.ok(Number(dropped) >= CONNECTIONS - 40, `dropped ${dropped}`);
    const warned = sidecar.warnings().filter((line) => line.includes("its limit"));
    assert.equal(warned.length, 1, warned.join("\n"));
    await s.listener();
    await until("the new listener is a target", () => {
      const roles = groupOf(s.port).listeners.map(({ role }) => role);
      return roles.length === 2 && roles.every((role) => role === "target");
    });
    for (const socket of sockets) socket.destroy();
    await sidecar.stop();
  }),
);
