/**
 * 12: one scrape of a sidecar with a thousand groups: its duration, its size, and how long it
 * blocks the event loop.
 */
import { once } from "node:events";
import { get, type IncomingMessage } from "node:http";
import { setTimeout as sleep } from "node:timers/promises";
import { collected, Exporter } from "../../cli/metrics/exporter.ts";
import { readStatus, STAGES, type Status } from "../../loader/index.ts";
import { BigHost } from "../helpers/host/big_host.ts";
import { alone } from "./figures.ts";
import { ProbedSidecar } from "./probed_sidecar.ts";
import type { Question } from "./question.ts";

const GROUPS = 1_000;
const LISTENERS = 8;
const PORT = 20_012;
const ROUNDS = 25;
/** Between two scrapes; not a multiple of the interval of the sidecar's passes. */
const PAUSE_MS = 170;

interface Scrape {
  readonly ms: number;
  readonly mb: number;
  readonly blockedMs: number;
  readonly cpuMs: number;
}

async function scrape(sidecar: ProbedSidecar): Promise<Scrape> {
  await sidecar.probe();
  const startMs = performance.now();
  const request = get(sidecar.metricsUrl);
  const [response] = (await once(request, "response")) as [IncomingMessage];
  let bytes = 0;
  let end = "";
  for await (const chunk of response) {
    bytes += chunk.length;
    end = String(chunk.subarray(-200));
  }
  const ms = performance.now() - startMs;
  if (response.statusCode !== 200 || !end.endsWith("\n")) throw new Error(`cut off at ${end}`);
  return { ms, mb: bytes / 1e6, ...(await sidecar.probe()) };
}

/** Returns the status as if connections had been migrated to every listener, in every stage. */
function used(status: Status): Status {
  return {
    ...status,
    groups: status.groups.map((group) => ({
      ...group,
      listeners: group.listeners.map((listener) => ({ ...listener, migratedInto: 3 })),
      decisions: STAGES.map((stage) => ({ stage, outcome: "selected", count: 1234 })),
    })),
  };
}

export const question: Question = {
  number: 12,
  name: "scrape",
  title: `/metrics of ${GROUPS.toLocaleString("en-US")} groups of ${LISTENERS} listeners`,
  reference: "",
  async measure() {
    using host = new BigHost();
    await host.groups(PORT, 0, GROUPS, LISTENERS);
    const startMs = performance.now();
    await using sidecar = await ProbedSidecar.attach(`:${PORT}`, "--metrics", "9948");
    const takenOnS = (performance.now() - startMs) / 1000;
    if (sidecar.ready !== `groups=${GROUPS} listeners=${GROUPS * LISTENERS}`) {
      throw new Error(`the sidecar is not attached to all groups: ${sidecar.ready}`);
    }
    for (let i = 0; i < 5; i++) await scrape(sidecar); // until V8 has compiled the code
    const scrapes: Scrape[] = [];
    for (let round = 0; round < ROUNDS; round++) {
      await sleep(PAUSE_MS);
      scrapes.push(await scrape(sidecar));
    }
    const full = await new Exporter({ process: false }).scrape(collected(used(readStatus())));
    return [
      alone(
        scrapes.map(({ ms }) => ms),
        { label: "one scrape", unit: "ms", atMost: 100 },
      ),
      alone(
        scrapes.map(({ cpuMs }) => cpuMs),
        { label: "CPU time of the sidecar meanwhile", unit: "ms" },
      ),
      alone(
        scrapes.map(({ mb }) => mb),
        { label: "body", unit: "MB", atMost: 2 },
      ),
      alone([full.length / 1e6], {
        label: "body if every listener has been migrated to",
        unit: "MB",
      }),
      alone([Math.max(...scrapes.map(({ blockedMs }) => blockedMs))], {
        label: "longest block of the event loop",
        unit: "ms",
        atMost: 50,
      }),
      alone([takenOnS], { label: "attaching to all groups", unit: "s" }),
    ];
  },
};
