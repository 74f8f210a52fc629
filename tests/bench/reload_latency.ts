/** 8: what a reload a second does to the latency of new connections, and whom it loses. */
import { setTimeout as sleep } from "node:timers/promises";
import { lostOf, type Paced, paced, undisturbed } from "../helpers/load/paced.ts";
import { setSysctl } from "../helpers/net/sysctl.ts";
import { SidecarProcess } from "../helpers/product/sidecar.ts";
import { Haproxy } from "../helpers/servers/haproxy.ts";
import { alone, compare, type Figure, quantile } from "./figures.ts";
import type { Question } from "./question.ts";

/** Two groups of one HAProxy: what a reload costs the machine, it costs both. */
const OURS = 8001;
const OTHER = 8002;
/** Of another HAProxy, that nobody visits: what its reloads do to the others is the machine's doing. */
const APART = 8003;
const ROUNDS = 10;
const SECONDS = 2;
/** To both ports together: a process more must find a core. */
const RATE = 3000;
/** What a lost connection counts as: the load's time-out. Its client got no answer at all. */
const LOST_US = 5_000_000;

/** A window of the load, of both groups. */
interface Window {
  readonly ours: Paced;
  readonly other: Paced;
}

export const question: Question = {
  number: 8,
  name: "reload_latency",
  title: "p99.9 latency of new connections, a reload (HAProxy -sf) a second",
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
        label: "with us by without us, of one window",
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
  if (!ours || !other) throw new Error("the load says nothing");
  return { ours, other };
}

async function loadAndReload(haproxy: Haproxy): Promise<Window> {
  const [window] = await Promise.all([load(), reload(haproxy)]);
  return window;
}

/** Once a second, from half a second on: the load starts too. */
async function reload(haproxy: Haproxy): Promise<void> {
  await sleep(500);
  for (let i = 1; i < SECONDS; i++) await Promise.all([haproxy.reload(), sleep(1000)]);
  await haproxy.reload();
}

function ratios(some: readonly number[], others: readonly number[]): number[] {
  return some.map((one, i) => one / (others[i] ?? Number.NaN));
}

/** p99.9 of all that came. */
function tailOf(paced: Paced): number {
  const lost = Array.from({ length: lostOf(paced) }, () => LOST_US);
  return quantile([...paced.latencies, ...lost], 0.999);
}

function lost(who: string, of: readonly Paced[]): Figure {
  const all = of.map(lostOf).reduce((sum, count) => sum + count, 0);
  const came = all + of.reduce((sum, { latencies }) => sum + latencies.length, 0);
  return alone([all], { label: `${who}, lost of ${came}`, unit: "connections" });
}
