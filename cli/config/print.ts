/** The effective config, as a file that says the same. */
import { stringify } from "yaml";
import { type HostWords, hostOptions } from "../options/host.ts";
import { DEFAULT_METRICS } from "../options/metrics_address.ts";
import { OPTION_NAMES, type OptionName, optionOf, type ServiceWords } from "../options/service.ts";
import { keyOf } from "./keys.ts";
import type { NamedService } from "./service_entry.ts";

type Plain = string | number | boolean;
interface Tree {
  [key: string]: Plain | readonly string[] | Tree;
}

/** What `--print-config` prints: all defaults filled in. */
export function printed(
  host: HostWords,
  services: readonly Pick<NamedService, "name" | "listen" | "words">[],
  json: boolean,
): string {
  const tree: Tree = {};
  for (const key of Object.keys(hostOptions) as (keyof HostWords)[]) {
    const optional = key === "bpffs" || key === "store" ? undefined : false;
    const fallback = key === "metrics" ? DEFAULT_METRICS : optional;
    const value = host[key] ?? fallback;
    if (value !== undefined) tree[key] = plain(value);
  }
  const named: Tree = {};
  for (const { name, listen, words } of services) {
    const service: Tree = { listen };
    for (const option of OPTION_NAMES) put(service, option, words);
    named[name] = service;
  }
  tree["services"] = named;
  return json ? `${JSON.stringify(tree, null, 2)}\n` : stringify(tree, { lineWidth: 0 });
}

/** An option that is not given and has no default is left out: that is what it means there. */
function put(service: Tree, option: OptionName, words: ServiceWords): void {
  const { type, defaultDescription, wants } = optionOf(option);
  const isWanted = wants === undefined || Boolean(words[wants as OptionName]);
  const fallback = type === "boolean" ? false : defaultDescription;
  const value = words[option] ?? (isWanted ? fallback : undefined);
  if (value === undefined) return;
  const [head = "", sub] = keyOf(option).split(".");
  if (sub === undefined) {
    service[head] = plain(value);
    return;
  }
  const there = service[head];
  service[head] = { ...(isTree(there) ? there : {}), [sub]: plain(value) };
}

function isTree(value: Tree[string] | undefined): value is Tree {
  return typeof value === "object" && !Array.isArray(value);
}

/** A number as one, where it reads back the same. */
function plain(value: string | boolean): Plain {
  return typeof value === "string" && String(Number(value)) === value ? Number(value) : value;
}
