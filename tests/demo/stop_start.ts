/**
 * Stops: the only server stops gracefully, no process listens for a while, and it is started again.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { total } from "../helpers/product/sidecar.ts";
import { type Part, PORT } from "./part.ts";
import { Server } from "./processes.ts";

/** How long no process listens. */
const GAP_MS = 400;

/** Returns the connections that arrived in the gap or were queued when the server stopped. */
function held(metrics: string): number {
  return total(metrics, "reuseport_migrate_standby_connections_total");
}

export const STOP_START: Part = {
  story: `Stop: stop the only server gracefully, and start it again ${GAP_MS} ms later.`,
  times: Number(process.env["DEMO_STOPS"] ?? 10),
  // A third of the capacity of the server, and room for every held connection.
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
