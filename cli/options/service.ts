/**
 * A service's options: one list and one set of rules, for the command line and for a config file. A
 * new option is an entry in {@link serviceOptions} and a line in {@link serviceOf}.
 */
import { existsSync } from "node:fs";
import type { AdoptOptions } from "../../loader/adoption/service_adoption.ts";
import { MIGRATE, ROUTE, SETTINGS, WAKE } from "../../loader/core/abi.ts";
import type { HoldPolicy } from "../../loader/core/slot.ts";
import type { Spec } from "../../loader/core/spec.ts";
import { AbsentError } from "../../loader/errors.ts";
import { ALL, netnsInode } from "../../loader/net/netns_inode.ts";
import type { ServiceOptions } from "../../loader/service/service.ts";
import { adoptMax, adoptOptions, chosenCgroup } from "./adopt.ts";
import { exceptOptions, requirePorts, specsWithout } from "./except.ts";
import { holdMax, holdOptions, holdTime, readyCheck } from "./hold.ts";
import { choice, integer, OptionError } from "./values.ts";

const MAX_PID = 0x3fffff; // PID_MAX_LIMIT, include/linux/threads.h

/** An option as yargs requires it, and what a config file requires in addition. */
export interface ServiceOption<Name extends string = string> {
  readonly type: "string" | "boolean";
  readonly describe: string;
  readonly requiresArg?: true;
  readonly choices?: readonly string[];
  /** The value that is used if none is given. */
  readonly defaultDescription?: string;
  /** Its key in a config file, if that is not its name. */
  readonly key?: string;
  /** The option without which it has no meaning. */
  readonly requires?: Name;
}

export const serviceOptions = {
  ...exceptOptions,
  pid: {
    type: "string",
    requiresArg: true,
    describe: "only groups in which this process holds a listener",
  },
  ...adoptOptions,
  netns: {
    type: "string",
    requiresArg: true,
    defaultDescription: "own",
    describe:
      "only this network namespace: own (the one the sidecar runs in), a path, or a pid; all: every one of the host",
  },
  migrate: {
    type: "string",
    choices: MIGRATE,
    requiresArg: true,
    defaultDescription: "newest",
    describe:
      "destination of connections whose listener closes. newest: the newest generation; any: any listener; off: none, they are reset as without a sidecar; observe: as off, but counted",
  },
  route: {
    type: "string",
    choices: ROUTE,
    requiresArg: true,
    defaultDescription: "kernel",
    describe:
      "destination of new connections. kernel: all listeners, by the kernel's hash; newest: the newest generation",
  },
  settings: {
    type: "string",
    choices: SETTINGS,
    requiresArg: true,
    defaultDescription: "prefer",
    describe:
      "destinations whose socket options differ from the closing listener's. prefer: only if there is no other; strict: never, connections are dropped; ignore: like any other",
  },
  ...holdOptions,
  wake: {
    type: "string",
    choices: WAKE,
    requiresArg: true,
    defaultDescription: "auto",
    describe:
      "wake a listener after a migration, by connecting to it. auto: if the kernel does not wake it (CVE-2026-46015, tested at the start); always; never",
  },
  wait: { type: "boolean", describe: "start even if no listener matches yet" },
  replace: { type: "boolean", describe: "replace an attached program that is not ours" },
} as const satisfies Readonly<Record<string, ServiceOption>>;

export type OptionName = keyof typeof serviceOptions;
export const OPTION_NAMES = Object.keys(serviceOptions) as OptionName[];

/** Returns an option with all fields that options may have. */
export function optionOf(name: OptionName): ServiceOption<OptionName> {
  return serviceOptions[name];
}

/** Option values as given, not validated. */
export type ServiceValues = {
  readonly [K in OptionName]?:
    | ((typeof serviceOptions)[K]["type"] extends "boolean" ? boolean : string)
    | undefined;
};

/** One service of a config file or of a command line. */
export interface NamedService {
  readonly name: string;
  /** Its SPECs as text. */
  readonly listen: readonly string[];
  readonly values: ServiceValues;
  readonly options: ServiceOptions;
}

/** The command line or config file that the values are from. */
export interface OptionSource {
  /** Whether a process, cgroup or namespace may appear later; if not, its absence is an error. */
  readonly mayAppear: boolean;
  /** Returns an option's name within a sentence: `--hold-max`, or `hold.max`. */
  nameOf(option: OptionName): string;
  /**
   * Calls `read` with the option's label. A file notes an error and continues with undefined; the
   * command line throws it.
   */
  check<T>(option: OptionName, read: (label: string) => T): T | undefined;
}

/** Validates a service's options. @throws UsageError unless the source notes errors */
export function serviceOf(
  values: ServiceValues,
  specs: readonly Spec[],
  source: OptionSource,
): ServiceOptions {
  const { check, mayAppear } = source;
  for (const name of OPTION_NAMES) check(name, (at) => checkRequired(name, at, values, source));
  const covered = check("except", (label) => specsWithout(specs, values.except, label)) ?? specs;
  const cgroup = check(values.unit === undefined ? "cgroup" : "unit", (label) =>
    cgroupOf(values, label, source),
  );
  const pid = check("pid", (label) => pidOf(values.pid, label, mayAppear));
  const netns = check("netns", (label) => netnsOf(values.netns, label, mayAppear));
  const maxCopies = check("adopt-max", (label) => adoptMax(label, values["adopt-max"])) ?? 1;
  if (values.adopt) check("adopt", (label) => requirePorts(label, specs));
  const adopt = check("adopt", (label) => adoptionOf(values, cgroup, maxCopies, label, source));
  const maxHeld = check("hold-max", (label) => holdMax(label, values["hold-max"])) ?? 1;
  const hold = check("hold", (label) => holdOf(values, maxHeld, label, source));
  const ready = check("ready-check", (label) => {
    const text = values["ready-check"];
    return text === undefined ? undefined : readyCheck(label, text);
  });
  const chosen = <T extends string>(
    name: "migrate" | "route" | "settings" | "wake",
    choices: readonly T[],
  ) => check(name, (label) => choice(label, values[name], choices));
  return {
    specs: covered,
    filter: {
      ...(pid === undefined ? {} : { pid }),
      ...(cgroup === undefined ? {} : { cgroup }),
    },
    ...(netns === undefined ? {} : { netns }),
    ...(adopt === undefined ? {} : { adopt }),
    migrate: chosen("migrate", MIGRATE) ?? "newest",
    route: chosen("route", ROUTE) ?? "kernel",
    settings: chosen("settings", SETTINGS) ?? "prefer",
    wake: chosen("wake", WAKE) ?? "auto",
    ...(hold === undefined ? {} : { hold }),
    ...(ready === undefined ? {} : { readyCheck: ready }),
    wait: values.wait === true,
    replace: values.replace === true,
  };
}

function checkRequired(
  name: OptionName,
  label: string,
  values: ServiceValues,
  { nameOf }: OptionSource,
): void {
  const { requires } = optionOf(name);
  if (requires !== undefined && values[name] !== undefined && !values[requires]) {
    throw new OptionError(label, `requires ${nameOf(requires)}`);
  }
}

function cgroupOf(
  values: ServiceValues,
  label: string,
  { mayAppear, nameOf }: OptionSource,
): string | undefined {
  if (values.cgroup !== undefined && values.unit !== undefined) {
    throw new OptionError(label, `cannot be combined with ${nameOf("cgroup")}`);
  }
  return chosenCgroup(values, mayAppear);
}

/** Returns how the binds of `cgroup` are adopted, or undefined if they are not. */
function adoptionOf(
  values: ServiceValues,
  cgroup: string | undefined,
  max: number,
  label: string,
  { nameOf }: OptionSource,
): AdoptOptions | undefined {
  if (!values.adopt) return undefined;
  if ((values.cgroup ?? values.unit) === undefined) {
    const either = `${nameOf("cgroup")} PATH or ${nameOf("unit")} NAME`;
    throw new OptionError(label, `requires ${either}`);
  }
  return cgroup === undefined ? undefined : { cgroup, max };
}

function holdOf(
  values: ServiceValues,
  max: number,
  label: string,
  { nameOf }: OptionSource,
): HoldPolicy | undefined {
  if (values.hold === undefined) return undefined;
  const timeMs = holdTime(label, values.hold);
  if (values.migrate === "off" || values.migrate === "observe") {
    const other = `${nameOf("migrate")} ${values.migrate}`;
    throw new OptionError(
      label,
      `cannot be combined with ${other}: held connections would not be handed over`,
    );
  }
  return { timeMs, max };
}

function pidOf(text: string | undefined, label: string, mayAppear: boolean): number | undefined {
  if (text === undefined) return undefined;
  const pid = integer(label, text, 1, MAX_PID);
  if (mayAppear || existsSync(`/proc/${pid}`)) return pid;
  throw new AbsentError(`${label} ${pid}: no such process`);
}

/** Returns a pid, a path or `all`, or undefined for our own namespace. */
function netnsOf(
  text: string | undefined,
  label: string,
  mayAppear: boolean,
): string | number | undefined {
  if (text === undefined || text === "own") return undefined;
  if (text === ALL) return ALL;
  const netns = /^\d+$/.test(text) ? integer(label, text, 1, MAX_PID) : text;
  if (!mayAppear) netnsInode(netns);
  else if (typeof netns === "string" && !netns.startsWith("/")) {
    throw new OptionError(
      label,
      `'${text}' is not a namespace: write 'own', 'all', a pid, or a path such as /run/netns/NAME`,
    );
  }
  return netns;
}
