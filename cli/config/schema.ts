/** The keys of a config file, validated by the rules of the command line. */
import { readFileSync } from "node:fs";
import { SERVICE_LEN } from "../../loader/core/abi.ts";
import { parseSpec, type Spec } from "../../loader/core/spec.ts";
import { AbsentError } from "../../loader/errors.ts";
import { fileKeyOf, HOST_KEYS, type HostValues, hostOf, hostOptions } from "../options/host.ts";
import {
  type NamedService,
  type OptionName,
  optionOf,
  type ServiceValues,
  serviceOf,
} from "../options/service.ts";
import { suggestion } from "../options/suggest.ts";
import { ConfigDocument, type Value } from "./document.ts";
import { keyOf, optionsAt, SERVICE_KEYS } from "./keys.ts";
import { noteUnreachable, type ServiceInFile } from "./reach.ts";

export interface Config {
  readonly host: HostValues;
  readonly services: readonly NamedService[];
  /** Returns `FILE:LINE: KEY` of a key at the top. */
  where(key: string): string;
}

/** @throws AbsentError if the file cannot be read, ConfigError with every mistake in it */
export function readConfig(file: string): Config {
  let text: string;
  try {
    text = readFileSync(file, "utf8");
  } catch (error) {
    throw new AbsentError(`--config ${file} cannot be read: ${(error as Error).message}`);
  }
  return parseConfig(file, text);
}

/** @throws ConfigError with every mistake in the text */
export function parseConfig(file: string, text: string): Config {
  const document = new ConfigDocument(file, text);
  // A syntax error would be followed by mistakes that are none.
  document.refuse();
  const entries = document.root.entries();
  const host = readHost(entries);
  const services = readServices(document.root, entries.get("services"));
  document.refuse();
  return {
    host,
    services,
    where: (key) => `${file}:${entries.get(key)?.line ?? 1}: ${key}`,
  };
}

function readHost(entries: ReadonlyMap<string, Value>): HostValues {
  const host: Record<string, string | boolean> = {};
  for (const [name, value] of entries) {
    if (name === "services") continue;
    const key = HOST_KEYS.find((known) => fileKeyOf(known) === name);
    if (!key) {
      noteUnknown(value, name, ["services", ...HOST_KEYS.map(fileKeyOf)]);
      continue;
    }
    const given = value.ofType(hostOptions[key].type);
    if (given === undefined) continue;
    host[key] = given;
    value.attempt((label) => hostOf({ [key]: given }, () => label));
  }
  return host;
}

function noteUnknown(value: Value, key: string, known: readonly string[]): void {
  value.note(`is not a key${suggestion(key, known)}`);
}

function readServices(root: Value, value: Value | undefined): NamedService[] {
  if (value === undefined) {
    if (!root.isMap) return [];
    root.note(
      "services is missing: write 'services:', and below it a name and 'listen: [\":443\"]'",
    );
    return [];
  }
  const valid: ServiceInFile[] = [];
  for (const [name, entry] of value.entries()) {
    const before = entry.document.count;
    const read = readService(name, entry);
    if (entry.document.count === before) valid.push(read);
  }
  noteUnreachable(valid);
  return valid.map(({ service }) => service);
}

function readService(name: string, value: Value): ServiceInFile {
  if (Buffer.byteLength(name) >= SERVICE_LEN || !/^[^\s\p{C}]+$/u.test(name)) {
    value.note(`a service's name has no spaces and at most ${SERVICE_LEN - 1} bytes`);
  }
  const entries = value.entries();
  const { specs, listen } = readListen(value, entries.get("listen"));
  const { values, places } = readValues(entries);
  const options = serviceOf(values, specs, {
    mayAppear: true,
    nameOf: keyOf,
    check: (option, read) => (places.get(option) ?? value).attempt(read),
  });
  const texts = specs.map(({ text }) => text);
  return { service: { name, listen: texts, values, options: { name, ...options } }, listen };
}

/** Returns the SPECs and their places in the file. */
function readListen(service: Value, value: Value | undefined) {
  const items = value?.items() ?? [];
  if (service.isMap && items.length === 0) {
    service.note('listen is missing: write listen: [":443"]');
  }
  const found = new Map<string, { spec: Spec; item: Value }>();
  for (const item of items) {
    const text = item.text();
    const spec = text === undefined ? undefined : item.attempt(() => parseSpec(text));
    if (!spec) continue;
    if (found.has(spec.text)) item.note(`${spec.text} is given twice`);
    else found.set(spec.text, { spec, item });
  }
  const all = [...found.values()];
  return { specs: all.map(({ spec }) => spec), listen: all.map(({ item }) => item) };
}

/**
 * Returns a service's options as the command line would give them, and their places in the file.
 */
function readValues(entries: ReadonlyMap<string, Value>): {
  values: ServiceValues;
  places: ReadonlyMap<OptionName, Value>;
} {
  // A sidecar with a config runs for long: its servers may start later.
  const values: Record<string, string | boolean> = { wait: true };
  const places = new Map<OptionName, Value>();
  const take = (option: OptionName, value: Value) => {
    const given = value.ofType(optionOf(option).type);
    if (given !== undefined) values[option] = given;
    places.set(option, value);
  };
  for (const [key, value] of entries) {
    if (key === "listen") continue;
    const below = optionsAt(key);
    const own = below.get("");
    if (own === undefined) noteUnknown(value, key, SERVICE_KEYS);
    else if (below.size === 1 || !value.isMap) take(own, value);
    else {
      // `adopt: {max: 3}` implies `adopt: true`.
      if (optionOf(own).type === "boolean") values[own] = true;
      places.set(own, value);
      for (const [sub, child] of value.entries()) {
        const option = sub === "" ? undefined : below.get(sub);
        if (option) take(option, child);
        else noteUnknown(child, `${key}.${sub}`, SERVICE_KEYS);
      }
    }
  }
  return { values, places };
}
