/** Stops: the only server stops gracefully, nobody listens for a while, then it is started again. */
import { setTimeout as sleep } from "node:timers/promises";
import { total } from "../helpers/product/sidecar.ts";
import { type Part, PORT } from "./part.ts";
import { Server } from "./processes.ts";

/** Nobody listens for so long. */
const GAP_MS = 400;

/** Those who came in the gap, and those whom the server had left in its queue. */
function held(metrics: string): number {
  return total(metrics, "reuseport_migrate_standby_connections_total");
}

export const STOP_START: Part = {
  story: `Stops: each stops the only server gracefully, and starts it again ${GAP_MS} ms later.`,
  times: Number(process.env["DEMO_STOPS"] ?? 10),
  // A third of what the server can do, and room for all who wait for it.
  load: { rate: 150, concurrency: 300 },
  options: ["--hold", "10s"],
  round: async (server) => {
    await server.stop();
    await sleep(GAP_MS);
    return Server.start(PORT);
  },
  shown: {
    rounds: "stops",
    loss: ({ refused }) => refused,
    counted: [["held by the standby", held]],
  },
};
