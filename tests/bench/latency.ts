/** 6: the latency of a short connection while the server is half busy. */
import { lostOf, type Paced, paced, undisturbed } from "../helpers/load/paced.ts";
import { SidecarProcess } from "../helpers/product/sidecar.ts";
import { Nginx } from "../helpers/servers/nginx.ts";
import { alone, compare, quantile, spread } from "./figures.ts";
import type { Question } from "./question.ts";
import { ELSEWHERE, PINNED, Saturation } from "./saturation.ts";

/** Two groups of one server, visited in random order: a disturbance affects both alike. */
const OURS = 8001;
const OTHER = 8002;
const ROUNDS = 25;
const SECONDS = 2;
/** The highest rate of the client, a Python program. */
const MOST_RATE = 6000;

export const question: Question = {
  number: 6,
  name: "latency",
  title: "latency of short HTTP connections, half load",
  reference: "nothing attached",
  measure: async () => {
    const server = { port: OURS, ports: [OTHER], workers: 2, under: PINNED };
    await using _nginx = await Nginx.start(server);
    await using _sidecar = await SidecarProcess.attach(`127.0.0.1:${OURS}`);
    const rate = Math.min(MOST_RATE, Math.round((await saturated()) / 2));
    const load = { ports: [OURS, OTHER], rate, seconds: SECONDS, under: ELSEWHERE };
    const ours: Paced[] = [];
    const other: Paced[] = [];
    for (let round = 0; round < ROUNDS; round++) {
      const [first, second] = await undisturbed(() => paced(load));
      if (!first || !second) throw new Error("the load reported no latencies");
      ours.push(first);
      other.push(second);
    }
    const both = (q: number) =>
      [ours, other].map((of) => of.map(({ latencies }) => quantile(latencies, q))) as [
        number[],
        number[],
      ];
    const lost = [...ours, ...other].reduce((sum, of) => sum + lostOf(of), 0);
    return [
      compare(...both(0.5), { label: `p50 at ${rate}/s`, unit: "us", atMost: 1.02 }),
      compare(...both(0.999), { label: "p99.9", unit: "us", atMost: 1.05 }),
      alone([lost], { label: "lost", unit: "connections", atMost: 0 }),
    ];
  },
};

/** Returns the connections per second that saturate the server, which has its own core here. */
async function saturated(): Promise<number> {
  await using load = await Saturation.connecting(OTHER, ELSEWHERE);
  const rates: number[] = [];
  for (let i = 0; i < 10; i++) rates.push(await load.slice(200));
  await load.end();
  return spread(rates).median;
}
