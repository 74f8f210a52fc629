/** What a config file says: its keys, checked by the rules of the command line. */
import { SERVICE_LEN } from "../../loader/core/abi.ts";
import { parseSpec, type Spec } from "../../loader/core/spec.ts";
import { UsageError } from "../../loader/errors.ts";
import { type HostWords, hostOf, hostOptions } from "../options/host.ts";
import {
  type OptionName,
  optionOf,
  type ServiceWords,
  type Site,
  serviceOf,
} from "../options/service.ts";
import { suggestion } from "../options/suggest.ts";
import { ConfigDocument, type Value } from "./document.ts";
import { inFile, keyOf, optionsAt, SERVICE_KEYS } from "./keys.ts";
import { noteUnreachable } from "./reach.ts";
import type { NamedService } from "./service_entry.ts";

export interface Config {
  readonly host: HostWords;
  readonly services: readonly NamedService[];
  /** `FILE:LINE: KEY`, of a key at the top. */
  where(key: string): string;
}

type HostKey = keyof typeof hostOptions;

const HOST_KEYS = Object.keys(hostOptions) as HostKey[];

/** @throws ConfigError with every mistake there is */
export function parseConfig(file: string, text: string): Config {
  const document = new ConfigDocument(file, text);
  // What cannot be parsed is not worth reading on.
  document.refuse();
  const entries = document.root.entries();
  const host: Record<string, string | boolean> = {};
  for (const [key, value] of entries) {
    if (key === "services") continue;
    const option = HOST_KEYS.find((name) => name === key);
    if (option) readHost(host, option, value);
    else value.note(`is not a key${suggestion(key, ["services", ...HOST_KEYS])}`);
  }
  const services = readServices(document.root, entries.get("services"));
  document.refuse();
  return {
    host,
    services,
    where: (key) => `${file}:${entries.get(key)?.line ?? 1}: ${key}`,
  };
}

function readHost(host: Record<string, string | boolean>, key: HostKey, value: Value): void {
  const said = hostOptions[key].type === "boolean" ? value.flag() : value.text();
  if (said === undefined) return;
  host[key] = said;
  attempt(value, key, () => hostOf({ [key]: said }));
}

function readServices(root: Value, value: Value | undefined): NamedService[] {
  if (value === undefined) {
    if (!root.isMap) return [];
    root.note(
      "services is missing: write 'services:', and below it a name and 'listen: [\":443\"]'",
    );
    return [];
  }
  const good: { service: NamedService; listen: readonly Value[] }[] = [];
  for (const [name, entry] of value.entries()) {
    const before = entry.document.count;
    const read = readService(name, entry);
    if (entry.document.count === before) good.push(read);
  }
  noteUnreachable(good);
  return good.map(({ service }) => service);
}

function readService(
  name: string,
  value: Value,
): { service: NamedService; listen: readonly Value[] } {
  if (Buffer.byteLength(name) >= SERVICE_LEN || !/^[^\s\p{C}]+$/u.test(name)) {
    value.note(`a service's name has no spaces and at most ${SERVICE_LEN - 1} bytes`);
  }
  const entries = value.entries();
  const { specs, listen } = readListen(value, entries.get("listen"));
  const { words, places } = readWords(entries);
  const site: Site = {
    mayCome: true,
    check: (option, read) => attempt(places.get(option) ?? value, keyOf(option), read),
  };
  const options = { name, ...serviceOf(words, specs, site) };
  return { service: { name, listen: specs.map(({ text }) => text), words, options }, listen };
}

/** The SPECs, and where each stands. */
function readListen(
  service: Value,
  value: Value | undefined,
): { specs: readonly Spec[]; listen: readonly Value[] } {
  const items = value?.items() ?? [];
  if (service.isMap && items.length === 0) {
    service.note('listen is missing: write listen: [":443"]');
  }
  const found = new Map<string, { spec: Spec; item: Value }>();
  for (const item of items) {
    const text = item.text();
    const spec = text === undefined ? undefined : attempt(item, "listen", () => parseSpec(text));
    if (!spec) continue;
    if (found.has(spec.text)) item.note(`${spec.text} is given twice`);
    else found.set(spec.text, { spec, item });
  }
  const all = [...found.values()];
  return { specs: all.map(({ spec }) => spec), listen: all.map(({ item }) => item) };
}

/** A service's options as the command line would say them, and where in the file each stands. */
function readWords(entries: ReadonlyMap<string, Value>): {
  words: ServiceWords;
  places: ReadonlyMap<OptionName, Value>;
} {
  // A file is for a process that stays: what it names may start later.
  const words: Record<string, string | boolean> = { wait: true };
  const places = new Map<OptionName, Value>();
  const take = (option: OptionName, value: Value) => {
    const said = optionOf(option).type === "boolean" ? value.flag() : value.text();
    if (said !== undefined) words[option] = said;
    places.set(option, value);
  };
  const unknown = (value: Value, key: string) =>
    value.note(`is not a key${suggestion(key, SERVICE_KEYS)}`);
  for (const [key, value] of entries) {
    if (key === "listen") continue;
    const below = optionsAt(key);
    const own = below.get("");
    if (own === undefined) unknown(value, key);
    else if (below.size === 1 || !value.isMap) take(own, value);
    else {
      // `adopt: {max: 3}` says that it is to adopt.
      if (optionOf(own).type === "boolean") words[own] = true;
      places.set(own, value);
      for (const [sub, child] of value.entries()) {
        const option = sub === "" ? undefined : below.get(sub);
        if (option) take(option, child);
        else unknown(child, `${key}.${sub}`);
      }
    }
  }
  return { words, places };
}

/** Runs a check of the command line; what it says is said of `value`. */
function attempt<T>(value: Value, key: string, read: () => T): T | undefined {
  try {
    return read();
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    value.note(inFile(error.message, key));
    return undefined;
  }
}
