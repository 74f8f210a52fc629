/** Options of the whole process, on the command line and in a config file. */
import {
  DEFAULT_METRICS,
  type MetricsAddress,
  parseMetricsAddress,
  webConfigOption,
} from "./metrics_address.ts";
import { bpffsOption } from "./pinned.ts";
import { integer, OptionError, once } from "./values.ts";

/** Far more than a host has memory for: 64 KiB each in the kernel alone. */
const MAX_GROUPS = 100_000;

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
  "web-config": webConfigOption,
  bpffs: bpffsOption,
  store: {
    type: "string",
    requiresArg: true,
    describe: "also run an fd store on this socket: see 'store --help'",
  },
  "max-groups": {
    type: "string",
    requiresArg: true,
    defaultDescription: "1024, or as many as the limit of open files permits",
    describe: "most groups to manage; the kernel keeps the others",
  },
  "max-groups-per-user": {
    type: "string",
    requiresArg: true,
    defaultDescription: "64",
    describe:
      "most groups of one user in one network namespace, except root's in the sidecar's own",
  },
  json: { type: "boolean", describe: "log in JSON, one object a line" },
} as const;

export type HostKey = keyof typeof hostOptions;
export const HOST_KEYS = Object.keys(hostOptions) as HostKey[];

/** Returns an option's key in a config file. */
export const fileKeyOf = (key: HostKey): string => key.replaceAll("-", "_");

/** Option values as given, not validated. */
export interface HostValues {
  readonly keep?: boolean | undefined;
  readonly metrics?: string | undefined;
  readonly "web-config"?: string | undefined;
  readonly bpffs?: string | undefined;
  readonly store?: string | undefined;
  readonly "max-groups"?: string | undefined;
  readonly "max-groups-per-user"?: string | undefined;
  readonly json?: boolean | undefined;
}

/** Validated options of the process. */
export interface Host {
  readonly keep: boolean;
  /** null: not served. */
  readonly metrics: MetricsAddress | null;
  /** The file of TLS and passwords of /metrics; undefined: none. */
  readonly webConfig: string | undefined;
  /** undefined: the first one mounted. */
  readonly bpffs: string | undefined;
  /** undefined: no store. */
  readonly store: string | undefined;
  /** undefined: the default. */
  readonly maxGroups: number | undefined;
  readonly maxGroupsPerUser: number | undefined;
  readonly json: boolean;
}

const onCommandLine = (key: HostKey) => `--${key}`;

/** Validates the options. @throws OptionError */
export function hostOf(values: HostValues, label = onCommandLine): Host {
  const { keep = false, metrics = DEFAULT_METRICS, bpffs, store, json = false } = values;
  if (bpffs === "") throw new OptionError(label("bpffs"), "requires a directory on a bpffs");
  if (store === "") throw new OptionError(label("store"), "requires the path of a new socket");
  const limit = (key: "max-groups" | "max-groups-per-user") => {
    const text = values[key];
    return text === undefined ? undefined : integer(label(key), text, 1, MAX_GROUPS);
  };
  return {
    keep,
    metrics: parseMetricsAddress(metrics, label("metrics")),
    webConfig: values["web-config"],
    bpffs,
    store,
    maxGroups: limit("max-groups"),
    maxGroupsPerUser: limit("max-groups-per-user"),
    json,
  };
}

/** Returns the values of the command line, completed by those of a file. @throws OptionError */
export function mergeHostValues(args: HostValues, file: HostValues = {}): HostValues {
  const pick = <K extends HostKey>(key: K) =>
    once<HostValues[K]>(onCommandLine(key), args[key]) ?? file[key];
  return {
    keep: pick("keep"),
    metrics: pick("metrics"),
    "web-config": pick("web-config"),
    bpffs: pick("bpffs"),
    store: pick("store"),
    "max-groups": pick("max-groups"),
    "max-groups-per-user": pick("max-groups-per-user"),
    json: pick("json"),
  };
}
