/** Options of the whole process, on the command line and in a config file. */
import { UsageError } from "../../loader/errors.ts";
import { DEFAULT_METRICS, type MetricsAddress, parseMetricsAddress } from "./metrics_address.ts";
import { bpffsOption, once } from "./values.ts";

export const hostOptions = {
  keep: {
    type: "boolean",
    describe: "leave everything attached and pinned at the end",
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
    describe: "run an fd store too, on this socket: see 'store --help'",
  },
  json: { type: "boolean", describe: "log in JSON, one object a line" },
} as const;

/** What is said of them, as it is said. */
export interface HostWords {
  readonly keep?: boolean | undefined;
  readonly metrics?: string | undefined;
  readonly bpffs?: string | undefined;
  readonly store?: string | undefined;
  readonly json?: boolean | undefined;
}

/** What they say, checked. */
export interface Host {
  readonly keep: boolean;
  /** null: off. */
  readonly metrics: MetricsAddress | null;
  /** undefined: the first one mounted. */
  readonly bpffs: string | undefined;
  /** undefined: no store. */
  readonly store: string | undefined;
  readonly json: boolean;
}

/** @throws UsageError */
export function hostOf(words: HostWords): Host {
  const { keep = false, metrics = DEFAULT_METRICS, bpffs, store, json = false } = words;
  if (bpffs === "") throw new UsageError("--bpffs '': write a directory on a bpf file system");
  if (store === "") throw new UsageError("--store '': write the path of a socket to make");
  return { keep, metrics: parseMetricsAddress(metrics), bpffs, store, json };
}

/** What the command line says, over what a file says. @throws UsageError */
export function overridden(args: HostWords, file: HostWords = {}): HostWords {
  return {
    keep: once("keep", args.keep) ?? file.keep,
    metrics: once("metrics", args.metrics) ?? file.metrics,
    bpffs: once("bpffs", args.bpffs) ?? file.bpffs,
    store: once("store", args.store) ?? file.store,
    json: once("json", args.json) ?? file.json,
  };
}
