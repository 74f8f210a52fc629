/** The effective config, as a file that reads back the same. */
import { stringify } from "yaml";
import { fileKeyOf, HOST_KEYS, type HostValues } from "../options/host.ts";
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
/** Services by name. No object: one moves the key `80` before `web`, and loses `__proto__`. */
type Services = ReadonlyMap<string, Tree>;

/** Text that YAML 1.1 would take for a boolean or a number (`off`, `1:20`) is quoted. */
const YAML = { lineWidth: 0, compat: "yaml-1.1" } as const;

/** Returns the text of `--print-config`, all defaults filled in. */
export function printed(
  host: HostValues,
  services: readonly Pick<NamedService, "name" | "listen" | "values">[],
  json: boolean,
): string {
  const top: Tree = {};
  // --bpffs, --store and the limits have no default that a file could say.
  const all: HostValues = { keep: false, metrics: DEFAULT_METRICS, json: false, ...defined(host) };
  for (const key of HOST_KEYS) {
    const value = all[key];
    if (value !== undefined) top[fileKeyOf(key)] = plain(value);
  }
  const named = new Map<string, Tree>();
  for (const { name, listen, values } of services) {
    const service: Tree = { listen };
    for (const option of OPTION_NAMES) put(service, option, values);
    named.set(name, service);
  }
  return json ? `${jsonText(top, named)}\n` : stringify({ ...top, services: named }, YAML);
}

/** Returns the file in JSON, as JSON.stringify() would indent it. */
function jsonText(top: Tree, named: Services): string {
  const lines = (entries: Iterable<readonly [string, unknown]>) =>
    [...entries].map(([key, value]) => `${JSON.stringify(key)}: ${JSON.stringify(value, null, 2)}`);
  const services = `"services": ${braced(lines(named))}`;
  return braced([...lines(Object.entries(top)), services]);
}

function braced(entries: readonly string[]): string {
  return entries.length === 0 ? "{}" : `{\n  ${entries.join(",\n").split("\n").join("\n  ")}\n}`;
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
