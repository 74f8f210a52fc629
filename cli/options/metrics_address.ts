/** The address of /metrics. */
import { isIP } from "node:net";
import { OptionError } from "./values.ts";

/** Loopback: other hosts may read the metrics only if asked to. */
export const DEFAULT_METRICS = "127.0.0.1:9944";

export interface MetricsAddress {
  readonly host: string;
  readonly port: number;
}

/** Parses `[ADDR:]PORT`; returns null for `off`. @throws OptionError */
export function parseMetricsAddress(text: string, label = "--metrics"): MetricsAddress | null {
  if (text === "off") return null;
  const match = /^(?:(?:\[([^\]]+)\]|([^:[\]]+)):)?([0-9]{1,5})$/.exec(text);
  const host = match?.[1] ?? match?.[2] ?? "127.0.0.1";
  const port = Number(match?.[3]);
  if (!match || isIP(host) === 0 || port > 65535) {
    throw new OptionError(
      label,
      `'${text}' is not an address: write PORT, ADDR:PORT such as 0.0.0.0:9944 or [::1]:9944, or off`,
    );
  }
  return { host, port };
}
