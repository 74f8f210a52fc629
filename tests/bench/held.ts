/** 16: the memory of a held connection, and how long the hand-over of 10,000 takes. */
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { Crowd } from "../helpers/load/crowd.ts";
import { kernelMigrations } from "../helpers/net/netstat.ts";
import { setSysctl } from "../helpers/net/sysctl.ts";
import { SidecarProcess } from "../helpers/product/sidecar.ts";
import { groupOf } from "../helpers/scene/status.ts";
import { TimedServer } from "../helpers/servers/timed_server.ts";
import { until } from "../helpers/until.ts";
import { alone } from "./figures.ts";
import type { Question } from "./question.ts";

const PORT = 8001;
const HELD = 10_000;
const ROUNDS = 12;
const MAX = 16_384;

interface Round {
  /** From the new server's listen() to its last accept(). */
  readonly ms: number;
  readonly lost: number;
  /** Kernel memory of one held connection, bytes. */
  readonly bytes: number;
}

export const question: Question = {
  number: 16,
  name: "held",
  title: "10,000 held connections",
  reference: "",
  measure: async () => {
    setSysctl("net.core.somaxconn", MAX);
    setSysctl("net.ipv4.tcp_max_syn_backlog", MAX);
    await using first = new TimedServer(PORT, MAX);
    await using second = new TimedServer(PORT, MAX);
    await using crowd = new Crowd(PORT, HELD);
    await first.listen();
    const options = ["--hold", "30s", "--hold-max", String(MAX)];
    await using _sidecar = await SidecarProcess.attach(`127.0.0.1:${PORT}`, ...options);
    const rounds: Round[] = [];
    for (let i = 0; i < ROUNDS; i++) {
      rounds.push(await (i % 2 === 0 ? stopAndStart(first, second) : stopAndStart(second, first)));
    }
    return [
      alone(
        rounds.map(({ ms }) => ms),
        { label: "from listen() to the last accept", unit: "ms", atMost: 1000 },
      ),
      alone([Math.max(...rounds.map(({ lost }) => lost))], {
        label: "lost in the worst round",
        unit: "connections",
        atMost: 0,
      }),
      alone(
        rounds.map(({ bytes }) => bytes),
        { label: "kernel memory of each, with its request", unit: "bytes" },
      ),
    ];

    async function stopAndStart(old: TimedServer, next: TimedServer): Promise<Round> {
      await until("the server is a target", () => standby()?.queueLength === 0);
      const migrations = kernelMigrations();
      await old.close();
      await until("the standby holds", () => groupOf(PORT).hold?.holding);
      const before = slabs();
      await crowd.connect();
      await until("all connections are held", () => standby()?.queueLength === HELD);
      const bytes = memoryOfEach(before);
      const listened = await next.listen();
      const accepted = await next.accept(HELD);
      await crowd.disconnect();
      const failures = kernelMigrations().failure - migrations.failure;
      return {
        ms: (accepted.atNs - listened.atNs) / 1e6,
        lost: Math.max(HELD - accepted.requests, failures),
        bytes,
      };
    }
  },
};

function standby() {
  const group = groupOf(PORT);
  return group.listeners.find(({ role }) => role === "standby");
}

/** Returns the bytes in use of each slab cache of the kernel, by name. */
function slabs(): Map<string, number> {
  const lines = readFileSync("/proc/slabinfo", "utf8").split("\n").slice(2);
  return new Map(
    lines.map((line) => {
      const [name = "", active, , size] = line.split(/\s+/);
      return [name, Number(active) * Number(size)];
    }),
  );
}

/** Returns the bytes of the server's end of a connection: socket, request and receive queue. */
function memoryOfEach(before: ReadonlyMap<string, number>): number {
  const now = slabs();
  const grown = (name: string) => (now.get(name) ?? Number.NaN) - (before.get(name) ?? Number.NaN);
  // Half of the sockets are the clients'.
  return (grown("TCP") / 2 + grown("request_sock_TCP") + received()) / HELD;
}

/** Returns the bytes in the receive queues of the connections with the port. */
function received(): number {
  const args = ["-Htm", "state", "established", "sport", "=", `:${PORT}`];
  const text = execFileSync("ss", args, { encoding: "utf8", maxBuffer: 2 ** 26 });
  let sum = 0;
  for (const [, bytes] of text.matchAll(/skmem:\(r(\d+),/g)) sum += Number(bytes);
  return sum;
}
