/** The address of /metrics. */
import { isIP } from "node:net";
import { OptionError } from "./values.ts";

/** Loopback: other hosts may read the metrics only if asked to. */
export const DEFAULT_METRICS = "127.0.0.1:9944";

export interface MetricsAddress {
  readonly host: string;
  readonly port: number;
  /** Absent: HTTP without passwords. */
  readonly web?: WebConfig;
}

/** What --web-config says. */
export interface WebConfig {
  /** null: HTTP. */
  readonly tls: TlsSettings | null;
  /** Headers of every response. */
  readonly headers: Readonly<Record<string, string>>;
  /** bcrypt hashes by user; without any, no password is asked for. */
  readonly users: ReadonlyMap<string, string>;
}

/** Options of tls.createServer(). */
export interface TlsSettings {
  readonly cert: Buffer;
  readonly key: Buffer;
  readonly ca?: Buffer;
  readonly requestCert?: boolean;
  readonly rejectUnauthorized?: boolean;
  readonly minVersion: SecureVersion;
  readonly maxVersion: SecureVersion;
  readonly ciphers?: string;
  readonly ecdhCurve?: string;
  readonly honorCipherOrder: boolean;
}

type SecureVersion = "TLSv1.2" | "TLSv1.3";

export const webConfigOption = {
  type: "string",
  requiresArg: true,
  describe:
    "TLS and passwords of /metrics: a file in the format of Prometheus' exporters (docs/METRICS.md)",
} as const;

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
