/**
 * HAProxy reloaded under load, while other users of the host attack the sidecar in every way that
 * is known: nobody is lost.
 */
import assert from "node:assert/strict";
import { connect } from "node:net";
import { started } from "../helpers/host/child.ts";
import { Attacker } from "../helpers/hostile/attacker.ts";
import { HangingProcesses } from "../helpers/hostile/hang.ts";
import { HostileListeners } from "../helpers/hostile/listeners.ts";
import { ManyMounts } from "../helpers/hostile/mounts.ts";
import type { SidecarProcess } from "../helpers/product/sidecar.ts";
import { Haproxy } from "../helpers/servers/haproxy.ts";
import { until } from "../helpers/until.ts";
import { reloadSuite } from "./scenario.ts";

const PORT = 8260;
const CLIENTS = 100;
const REOPEN_MS = 1_000;
const REFUSED = /refused_groups\{reason="foreign_program"\} 10\n/;

/** Connections to /metrics that send nothing, and are opened again when they are closed. */
function idleClients(url: string): AsyncDisposable {
  const { hostname, port } = new URL(url);
  let isOver = false;
  const sockets = new Set<ReturnType<typeof connect>>();
  const open = () => {
    const socket = connect(Number(port), hostname);
    sockets.add(socket);
    socket.on("error", () => {});
    socket.once("close", () => {
      sockets.delete(socket);
      if (!isOver) setTimeout(open, REOPEN_MS);
    });
  };
  for (let i = 0; i < CLIENTS; i++) open();
  return {
    async [Symbol.asyncDispose]() {
      isOver = true;
      for (const socket of sockets) socket.destroy();
    },
  };
}

/** Every attack at once; they end together. */
async function attack(sidecar: SidecarProcess): Promise<AsyncDisposable> {
  const attacks: AsyncDisposable[] = await Promise.all([
    HangingProcesses.start("exec", "127.0.9.1", PORT, 3),
    HangingProcesses.start("lock", "127.0.9.2", PORT, 3),
    HostileListeners.start("filter", PORT, 10),
    HostileListeners.start("locked", PORT, 10, undefined, 400),
    HostileListeners.start("mptcp", PORT, 5, undefined, 500),
    Attacker.start("binds.py", ["bind", "127.0.9.3", String(PORT)]),
    ManyMounts.make(11),
    idleClients(sidecar.metricsUrl),
  ]);
  const all = {
    async [Symbol.asyncDispose]() {
      for (const one of attacks) await one[Symbol.asyncDispose]();
    },
  };
  // As many as a user may have, and more: those before are refused for their own reasons.
  const more = async () => {
    await until("the first are refused", async () => REFUSED.test(await sidecar.metrics()));
    attacks.push(await HostileListeners.start("plain", PORT, 100, undefined, 600));
  };
  return started(all, more());
}

reloadSuite({
  name: "HAProxy -sf, under attack by other users",
  port: PORT,
  spec: `:${PORT}`,
  options: ["--wait", "--netns", "all", "--hold", "5s"],
  reloads: 15,
  start: (port) => Haproxy.start({ port, threads: 2 }),
  reload: (haproxy, n) => haproxy.reload({ behind: n % 5 === 0 }),
  isBehind: true,
  around: attack,
  check: (metrics) => {
    assert.match(metrics, REFUSED);
    assert.match(metrics, /hung_processes [1-9]/);
  },
});
