/**
 * `attach --hold` with servers that are stopped or killed, and started again 0.3, 2 and 8 s later.
 */

import { type Outage, outages } from "./outages.ts";
import { SERVERS } from "./restartable_recipes.ts";
import { WAYS } from "./stop_start.ts";

for (const [i, way] of WAYS.entries()) {
  outages(
    `${way}, gap of 0.3 s`,
    8100 + 10 * i,
    SERVERS.map((server) => ({ server, way, gapMs: 300, rate: 200, times: 3 })),
  );
}

/** The rate is so low that the held connections fit into the default backlog of a listener. */
const long: Outage[] = (["nginx", "HAProxy"] as const).flatMap((server) =>
  WAYS.flatMap((way) => [
    { server, way, gapMs: 2000, rate: 100, times: 2 },
    { server, way, gapMs: 8000, rate: 100, times: 1 },
  ]),
);

outages("gaps of 2 and 8 s", 8120, long);
