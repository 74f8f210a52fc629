/** 8: the latency of new connections, and the lost connections, at one reload per second. */
import { setTimeout as sleep } from "node:timers/promises";
import { lostOf, type Paced, paced, undisturbed } from "../helpers/load/paced.ts";
import { setSysctl } from "../helpers/net/sysctl.ts";
import { SidecarProcess } from "../helpers/product/sidecar.ts";
import { Haproxy } from "../helpers/servers/haproxy.ts";
import { alone, compare, type Figure, quantile } from "./figures.ts";
import type { Question } from "./question.ts";

/** Two groups of one HAProxy: the cost of a reload to the machine affects both alike. */
const OURS = 8001;
const OTHER = 8002;
/** The port of another HAProxy without clients: its reloads show the cost to the machine alone. */
const APART = 8003;
const ROUNDS = 10;
const SECONDS = 2;
/** New connections per second to both ports together; leaves a core for the new process. */
const RATE = 3000;
/** The latency of a lost connection: the time-out of the load. */
const LOST_US = 5_000_000;

/** The results of one window of load, for both groups. */
interface Window {
  readonly ours: Paced;
  readonly other: Paced;
}

export const question: Question = {
  number: 8,
  name: "reload_latency",
  title: "p99.9 latency of new connections at one reload (HAProxy -sf) per second",
  reference: "no reloads",
  measure: async () => {
    await using haproxy = await Haproxy.start({ port: OURS, ports: [OTHER], threads: 1 });
    await using apart = await Haproxy.start({ port: APART, threads: 1 });
    await using _sidecar = await SidecarProcess.attach(`127.0.0.1:${OURS}`);
    const quiet: Window[] = [];
    const elsewhere: Window[] = [];
    const reloads: Window[] = [];
    const sysctl: Window[] = [];
    for (let round = 0; round < ROUNDS; round++) {
      quiet.push(await undisturbed(load));
      elsewhere.push(await undisturbed(() => loadAndReload(apart)));
      reloads.push(await undisturbed(() => loadAndReload(haproxy)));
      const undo = setSysctl("net.ipv4.tcp_migrate_req", 1);
      sysctl.push(await undisturbed(() => loadAndReload(haproxy)));
      undo();
    }
    const ours = (of: readonly Window[]) => of.map((window) => window.ours);
    const other = (of: readonly Window[]) => of.map((window) => window.other);
    const tails = (of: readonly Paced[]) => of.map(tailOf);
    const unit = "us";
    return [
      compare(tails(ours(reloads)), tails(ours(quiet)), { label: "with us", unit, atMost: 1.5 }),
      compare(tails(other(reloads)), tails(other(quiet)), { label: "without us", unit }),
      compare(tails(other(sysctl)), tails(other(quiet)), { label: "tcp_migrate_req=1", unit }),
      compare(tails(other(elsewhere)), tails(other(quiet)), {
        label: "another HAProxy reloads",
        unit,
      }),
      alone(ratios(tails(ours(reloads)), tails(other(reloads))), {
        label: "with us against without us, same window",
        unit: "x",
      }),
      lost("with us", ours(reloads)),
      lost("without us", other(reloads)),
      lost("tcp_migrate_req=1", other(sysctl)),
    ];
  },
};

async function load(): Promise<Window> {
  const [ours, other] = await paced({ ports: [OURS, OTHER], rate: RATE, seconds: SECONDS });
  if (!ours || !other) throw new Error("the load reported no latencies");
  return { ours, other };
}

async function loadAndReload(haproxy: Haproxy): Promise<Window> {
  const [window] = await Promise.all([load(), reload(haproxy)]);
  return window;
}

/** Reloads once per second, from half a second on, as the load has to start first. */
async function reload(haproxy: Haproxy): Promise<void> {
  await sleep(500);
  for (let i = 1; i < SECONDS; i++) await Promise.all([haproxy.reload(), sleep(1000)]);
  await haproxy.reload();
}

function ratios(some: readonly number[], others: readonly number[]): number[] {
  return some.map((one, i) => one / (others[i] ?? Number.NaN));
}

/** Returns p99.9 of all connections, lost ones included. */
function tailOf(paced: Paced): number {
  const lost = Array.from({ length: lostOf(paced) }, () => LOST_US);
  return quantile([...paced.latencies, ...lost], 0.999);
}

function lost(label: string, of: readonly Paced[]): Figure {
  const all = of.map(lostOf).reduce((sum, count) => sum + count, 0);
  const opened = all + of.reduce((sum, { latencies }) => sum + latencies.length, 0);
  return alone([all], { label: `${label}, lost of ${opened}`, unit: "connections" });
}
