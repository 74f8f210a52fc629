/** Reloads: a new server listens beside the old server, which then stops gracefully. */
import { setTimeout as sleep } from "node:timers/promises";
import { lost } from "../helpers/load/client.ts";
import { total } from "../helpers/product/sidecar.ts";
import { type Part, PORT } from "./part.ts";
import { Server } from "./processes.ts";

/** How long both servers listen. */
const OVERLAP_MS = 50;
const STAGES = ["accept_queue", "handshake_ack", "handshake_timer"] as const;

/** Returns the decisions of `stage` with any outcome except `dropped`. */
function migrated(metrics: string, stage: string): number {
  const of = (labels: string) => total(metrics, "reuseport_migrate_decisions_total", labels);
  return of(`stage="${stage}"`) - of(`stage="${stage}",outcome="dropped"`);
}

export const RELOAD: Part = {
  story: "Reload: start a new process, then stop the old process gracefully.",
  times: Number(process.env["DEMO_RELOADS"] ?? 25),
  // Each client opens a new connection as soon as the last one is answered.
  load: { concurrency: 64 },
  options: ["--route", "newest"],
  round: async (old) => {
    const next = await Server.start(PORT);
    await sleep(OVERLAP_MS);
    await old.stop();
    return next;
  },
  shown: {
    rounds: "reloads",
    loss: lost,
    counted: STAGES.map((stage) => [`migrated: ${stage}`, (text) => migrated(text, stage)]),
  },
};
