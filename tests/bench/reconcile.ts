/**
 * 11: one pass of the sidecar (observe, plan, apply) over every group when nothing changed, without
 * the use of caches, and how long it blocks the event loop.
 */
import { monitorEventLoopDelay } from "node:perf_hooks";
import { setTimeout as sleep } from "node:timers/promises";
import { findBpffs, PinTree } from "../../loader/bpf/pin_tree.ts";
import { netnsInode, parseSpec, Sidecar } from "../../loader/index.ts";
import { YOUNG_MS } from "../../loader/manage/option_schedule.ts";
import { BigHost } from "../helpers/host/big_host.ts";
import { alone, type Figure, quantile } from "./figures.ts";
import type { Question } from "./question.ts";

const PORT = 20_011;
const LISTENERS = 8;
const GROUPS = [10, 100, 1_000] as const;
const FILES = [10_000, 200_000] as const;
const ROUNDS = 10;
/**
 * Passes before the first measurement: V8 compiles hot functions, and a sidecar runs for months.
 */
const WARM_MS = 4_000;
/** Duration of passes in slices while the event loop is measured. */
const WATCHED_MS = 4_000;

export const question: Question = {
  number: 11,
  name: "reconcile",
  title: `one pass over groups of ${LISTENERS} listeners with nothing changed`,
  reference: "",

  async measure(): Promise<Figure[]> {
    using host = new BigHost();
    await host.files(FILES[0]);
    const few = [];
    let have = 0;
    for (const groups of GROUPS) {
      await host.groups(PORT, have, groups, LISTENERS);
      few.push(await measure(groups - have));
      have = groups;
    }
    await host.files(FILES[1] - FILES[0]);
    const most = await measure(0);
    return [...figures(few), ...withMostFiles(most)];
  },
};

interface Measured {
  /** Duration of each whole pass, without slices. */
  readonly passMs: readonly number[];
  /** The longest time the event loop was blocked during passes in slices. */
  readonly blockedMs: number;
  /** Time to attach to a group that was not pinned before. */
  readonly takeOnMs: number;
}

/**
 * @param fresh the number of groups that are not pinned yet. Pins stay for the next call: the
 * verifier needs a minute for a thousand groups
 */
async function measure(fresh: number): Promise<Measured> {
  const specs = [parseSpec(`:${PORT}`)];
  const filter = { netns: netnsInode("/proc/self/ns/net") };
  await using sidecar = new Sidecar({ specs, migrate: "newest", route: "kernel", filter });
  const begin = performance.now();
  await sidecar.start();
  const takeOnMs = (performance.now() - begin) / fresh;
  await sleep(YOUNG_MS);
  for (const untilMs = performance.now() + WARM_MS; performance.now() < untilMs; ) {
    await sidecar.reconcile();
  }
  const passMs: number[] = [];
  for (let i = 0; i < ROUNDS; i++) {
    const start = performance.now();
    await sidecar.reconcile();
    passMs.push(performance.now() - start);
    await sleep(10);
  }
  sidecar.watch();
  const blockedMs = await longestBlock();
  await sidecar.close({ keep: true });
  return { passMs, blockedMs, takeOnMs };
}

/**
 * Returns the longest block while the sidecar makes whole passes, as after a command changed pins.
 */
async function longestBlock(): Promise<number> {
  const pinTree = new PinTree(findBpffs());
  const delay = monitorEventLoopDelay({ resolution: 1 });
  await sleep(0);
  delay.enable();
  const untilMs = performance.now() + WATCHED_MS;
  while (performance.now() < untilMs) {
    pinTree.mark();
    await sleep(100);
  }
  delay.disable();
  return delay.max / 1e6;
}

function figures(measured: readonly Measured[]): Figure[] {
  const all = measured.flatMap(({ passMs, blockedMs }, i) => {
    const of = `${number(GROUPS[i] ?? 0)} groups, ${number(FILES[0])} files`;
    return [
      alone(passMs, { label: of, unit: "ms" }),
      alone([blockedMs], { label: `${of}, event loop`, unit: "ms", atMost: 50 }),
    ];
  });
  const each = measured.map(({ passMs }, i) => passMs.map((ms) => (ms * 1_000) / (GROUPS[i] ?? 1)));
  const [, hundred = [], thousand = []] = each;
  const growth = quantile(thousand, 0.5) / quantile(hundred, 0.5);
  return [
    ...all,
    alone([measured.at(-1)?.takeOnMs ?? Number.NaN], { label: "attaching to a group", unit: "ms" }),
    alone([growth], { label: "time per group, 1,000 groups against 100", unit: "x", atMost: 1.1 }),
  ];
}

function withMostFiles({ passMs, blockedMs }: Measured): Figure[] {
  const of = `${number(GROUPS.at(-1) ?? 0)} groups, ${number(FILES[1])} files`;
  return [
    alone(passMs, { label: of, unit: "ms", atMost: 250 }),
    alone([blockedMs], { label: `${of}, event loop`, unit: "ms", atMost: 50 }),
  ];
}

const number = (n: number) => n.toLocaleString("en-US");
