/** Options of the whole process, on the command line and in a config file. */
import { DEFAULT_METRICS, type MetricsAddress, parseMetricsAddress } from "./metrics_address.ts";
import { bpffsOption } from "./pinned.ts";
import { OptionError, once } from "./values.ts";

export const hostOptions = {
  keep: {
    type: "boolean",
    describe: "at the end, leave everything attached and pinned",
  },
  metrics: {
    type: "string",
    requiresArg: true,
    defaultDescription: DEFAULT_METRICS,
    describe: "where to serve /metrics: [ADDR:]PORT, or 'off'",
  },
  bpffs: bpffsOption,
  store: {
    type: "string",
    requiresArg: true,
    describe: "also run an fd store on this socket: see 'store --help'",
  },
  json: { type: "boolean", describe: "log in JSON, one object a line" },
} as const;

export type HostKey = keyof typeof hostOptions;
export const HOST_KEYS = Object.keys(hostOptions) as HostKey[];

/** Option values as given, not validated. */
export interface HostValues {
  readonly keep?: boolean | undefined;
  readonly metrics?: string | undefined;
  readonly bpffs?: string | undefined;
  readonly store?: string | undefined;
  readonly json?: boolean | undefined;
}

/** Validated options of the process. */
export interface Host {
  readonly keep: boolean;
  /** null: not served. */
  readonly metrics: MetricsAddress | null;
  /** undefined: the first one mounted. */
  readonly bpffs: string | undefined;
  /** undefined: no store. */
  readonly store: string | undefined;
  readonly json: boolean;
}

const onCommandLine = (key: HostKey) => `--${key}`;

/** Validates the options. @throws OptionError */
export function hostOf(values: HostValues, label = onCommandLine): Host {
  const { keep = false, metrics = DEFAULT_METRICS, bpffs, store, json = false } = values;
  if (bpffs === "") throw new OptionError(label("bpffs"), "requires a directory on a bpffs");
  if (store === "") throw new OptionError(label("store"), "requires the path of a new socket");
  return { keep, metrics: parseMetricsAddress(metrics, label("metrics")), bpffs, store, json };
}

/** Returns the values of the command line, completed by those of a file. @throws OptionError */
export function mergeHostValues(args: HostValues, file: HostValues = {}): HostValues {
  const pick = <K extends HostKey>(key: K) =>
    once<HostValues[K]>(onCommandLine(key), args[key]) ?? file[key];
  return {
    keep: pick("keep"),
    metrics: pick("metrics"),
    bpffs: pick("bpffs"),
    store: pick("store"),
    json: pick("json"),
  };
}
