/**
 * `attach --hold` with each kind of group: IPv6, dual-stack, another uid, two groups of one
 * service.
 */
import { AS_NOBODY } from "../helpers/hostile/nobody.ts";
import { type Outage, outages } from "./outages.ts";
import { WAYS } from "./stop_start.ts";

const kinds: Pick<Outage, "name" | "server" | "addresses" | "spec" | "under">[] = [
  { name: "IPv6", server: "HAProxy", addresses: ["::1"], spec: "[::1]" },
  { name: "dual-stack", server: "nginx", addresses: ["::"], spec: "[::]" },
  { name: "unprivileged uid", server: "Python", under: AS_NOBODY },
  { name: "two groups of one service", server: "Node", addresses: ["127.0.0.1", "::1"], spec: "" },
];

outages(
  "kinds of groups",
  8130,
  kinds.flatMap((kind) => WAYS.map((way) => ({ ...kind, way, gapMs: 300, rate: 100, times: 3 }))),
);
