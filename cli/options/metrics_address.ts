/** Where /metrics is served, as it is written. */
import { isIP } from "node:net";
import { UsageError } from "../../loader/errors.ts";

/** Loopback: what a host serves is nobody else's business unless asked for. */
export const DEFAULT_METRICS = "127.0.0.1:9944";

export interface MetricsAddress {
  readonly host: string;
  readonly port: number;
}

/** Parses `[ADDR:]PORT` or `off` (null). @throws UsageError */
export function parseMetricsAddress(text: string): MetricsAddress | null {
  if (text === "off") return null;
  const match = /^(?:(?:\[([^\]]+)\]|([^:[\]]+)):)?([0-9]{1,5})$/.exec(text);
  const host = match?.[1] ?? match?.[2] ?? "127.0.0.1";
  const port = Number(match?.[3]);
  if (!match || isIP(host) === 0 || port > 65535) {
    throw new UsageError(
      `--metrics '${text}': write PORT, ADDR:PORT such as 0.0.0.0:9944, [::1]:9944, or off`,
    );
  }
  return { host, port };
}
