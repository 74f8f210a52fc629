/** The effective config, as a file that reads back the same. */
import { stringify } from "yaml";
import { HOST_KEYS, type HostValues } from "../options/host.ts";
import { DEFAULT_METRICS } from "../options/metrics_address.ts";
import {
  type NamedService,
  OPTION_NAMES,
  type OptionName,
  optionOf,
  type ServiceValues,
} from "../options/service.ts";
import { keyOf } from "./keys.ts";

type Plain = string | number | boolean;
interface Tree {
  [key: string]: Plain | readonly string[] | Tree;
}

/** Returns the text of `--print-config`, all defaults filled in. */
export function printed(
  host: HostValues,
  services: readonly Pick<NamedService, "name" | "listen" | "values">[],
  json: boolean,
): string {
  const tree: Tree = {};
  // --bpffs and --store have no default that a file could say.
  const all: HostValues = { keep: false, metrics: DEFAULT_METRICS, json: false, ...defined(host) };
  for (const key of HOST_KEYS) {
    const value = all[key];
    if (value !== undefined) tree[key] = plain(value);
  }
  const named: Tree = {};
  for (const { name, listen, values } of services) {
    const service: Tree = { listen };
    for (const option of OPTION_NAMES) put(service, option, values);
    named[name] = service;
  }
  tree["services"] = named;
  return json ? `${JSON.stringify(tree, null, 2)}\n` : stringify(tree, { lineWidth: 0 });
}

function defined(host: HostValues): HostValues {
  return Object.fromEntries(Object.entries(host).filter(([, value]) => value !== undefined));
}

/** Adds an option; one that is not given and has no default is left out. */
function put(service: Tree, option: OptionName, values: ServiceValues): void {
  const { type, defaultDescription, requires } = optionOf(option);
  const hasMeaning = requires === undefined || Boolean(values[requires]);
  const fallback = type === "boolean" ? false : defaultDescription;
  const value = values[option] ?? (hasMeaning ? fallback : undefined);
  if (value === undefined) return;
  const [head = "", sub] = keyOf(option).split(".");
  if (sub === undefined) {
    service[head] = plain(value);
    return;
  }
  const before = service[head];
  service[head] = { ...(isTree(before) ? before : {}), [sub]: plain(value) };
}

function isTree(value: Tree[string] | undefined): value is Tree {
  return typeof value === "object" && !Array.isArray(value);
}

/** Returns a number if it reads back the same, otherwise the value itself. */
function plain(value: string | boolean): Plain {
  return typeof value === "string" && String(Number(value)) === value ? Number(value) : value;
}
