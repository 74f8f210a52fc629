/**
 * 7: how long a closed listener's long queue takes until the last connection is accepted elsewhere.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { Crowd } from "../helpers/load/crowd.ts";
import { kernelMigrations } from "../helpers/net/netstat.ts";
import { setSysctl } from "../helpers/net/sysctl.ts";
import { SidecarProcess } from "../helpers/product/sidecar.ts";
import { groupOf } from "../helpers/scene/status.ts";
import { TimedServer } from "../helpers/servers/timed_server.ts";
import { until } from "../helpers/until.ts";
import { alone, compare, type Figure } from "./figures.ts";
import type { Question } from "./question.ts";

const PORTS = { ours: 8001, sysctl: 8002 } as const;
const QUEUED = 10_000;
const MANY = 60_000;
const ROUNDS = 20;
/** The sidecar polls up to 200 ms after a bind, which is no part of a close(). */
const QUIET_MS = 250;

interface Closed {
  /** From the call of close() to the last accept() at the other server. */
  readonly ms: number;
  /** Duration of the call of close(). */
  readonly closeMs: number;
  readonly lost: number;
}

/**
 * Two servers of one port that alternate: one closes its listener, the other takes over its queue.
 */
class Pair implements AsyncDisposable {
  readonly port: number;
  readonly #servers: readonly [TimedServer, TimedServer];
  #turn = 0;

  constructor(port: number) {
    this.port = port;
    this.#servers = [new TimedServer(port, MANY), new TimedServer(port, MANY)];
  }

  /** Opens the listener of the first server. */
  async start(): Promise<void> {
    await this.#servers[0].listen();
  }

  async close(crowd: Crowd, count: number, attached: boolean): Promise<Closed> {
    const [closing, destination] = this.#inTurn();
    const before = kernelMigrations();
    await crowd.connect();
    await destination.listen();
    if (attached) await until("both are targets", () => targets(this.port) === 2);
    await sleep(QUIET_MS);
    const accepting = destination.accept(count);
    await sleep(20);
    const close = await closing.close();
    const accept = await accepting;
    await crowd.disconnect();
    const failures = kernelMigrations().failure - before.failure;
    return {
      ms: (accept.atNs - close.atNs) / 1e6,
      closeMs: (close.doneNs - close.atNs) / 1e6,
      lost: Math.max(count - accept.requests, failures),
    };
  }

  #inTurn(): [closing: TimedServer, destination: TimedServer] {
    const [first, second] = this.#servers;
    return this.#turn++ % 2 === 0 ? [first, second] : [second, first];
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const server of this.#servers) await server[Symbol.asyncDispose]();
  }
}

function targets(port: number): number {
  return groupOf(port).listeners.filter(({ role }) => role === "target").length;
}

export const question: Question = {
  number: 7,
  name: "close_queue",
  title: "closing a listener with 10,000 queued connections, to the last accept",
  reference: "tcp_migrate_req=1",
  measure: async () => {
    setSysctl("net.core.somaxconn", MANY);
    setSysctl("net.ipv4.tcp_max_syn_backlog", MANY);
    setSysctl("net.ipv4.tcp_migrate_req", 1);
    await using ours = new Pair(PORTS.ours);
    await using sysctl = new Pair(PORTS.sysctl);
    await ours.start();
    await sysctl.start();
    await using _sidecar = await SidecarProcess.attach(`127.0.0.1:${PORTS.ours}`);
    return [...(await queued(ours, sysctl)), ...(await many(ours))];
  },
};

async function queued(ours: Pair, sysctl: Pair): Promise<Figure[]> {
  const closed: { ours: Closed[]; sysctl: Closed[] } = { ours: [], sysctl: [] };
  await using crowdOfOurs = new Crowd(ours.port, QUEUED);
  await using crowd = new Crowd(sysctl.port, QUEUED);
  for (let round = 0; round < ROUNDS; round++) {
    closed.ours.push(await ours.close(crowdOfOurs, QUEUED, true));
    closed.sysctl.push(await sysctl.close(crowd, QUEUED, false));
  }
  const each = (of: readonly Closed[], what: keyof Closed) => of.map((one) => one[what]);
  const pair = (what: keyof Closed) =>
    [each(closed.ours, what), each(closed.sysctl, what)] as const;
  return [
    compare(...pair("ms"), { unit: "ms", atMost: 1.1 }),
    compare(...pair("closeMs"), { label: "duration of close()", unit: "ms" }),
    alone([Math.max(...each(closed.ours, "lost"))], {
      label: "lost",
      unit: "connections",
      atMost: 0,
    }),
  ];
}

async function many(ours: Pair): Promise<Figure[]> {
  await using crowd = new Crowd(ours.port, MANY);
  const { ms, lost } = await ours.close(crowd, MANY, true);
  return [
    alone([ms], { label: "60,000 queued", unit: "ms" }),
    alone([lost], { label: "60,000 queued, lost", unit: "connections", atMost: 0 }),
  ];
}
