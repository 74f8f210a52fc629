/** `attach --hold` and servers that are stopped or killed, and started again 0.3, 2 and 8 s later. */
import { SERVERS } from "../helpers/servers/stop_start_servers.ts";
import { type Outage, outages, times } from "./outages.ts";
import { WAYS } from "./stop_start.ts";

for (const [i, way] of WAYS.entries()) {
  outages(
    `${way}, gap of 0.3 s`,
    8100 + 10 * i,
    SERVERS.map((server) => ({ server, way, gapMs: 300, rate: 200, times: times(3) })),
  );
}

/** The rate is such that those who wait are no more than a listener may keep waiting by default. */
const long: Outage[] = (["nginx", "HAProxy"] as const).flatMap((server) =>
  WAYS.flatMap((way) => [
    { server, way, gapMs: 2000, rate: 100, times: times(2) },
    { server, way, gapMs: 8000, rate: 100, times: times(1) },
  ]),
);

outages("gaps of 2 and 8 s", 8120, long);
