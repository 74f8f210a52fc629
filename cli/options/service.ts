/**
 * A service's options: the one list and the one set of rules, for the command line and for a config
 * file. An option more is an entry in {@link serviceOptions} and a line in {@link serviceOf}.
 */
import { existsSync } from "node:fs";
import { MIGRATE, ROUTE, SETTINGS, WAKE } from "../../loader/core/abi.ts";
import type { HoldPolicy } from "../../loader/core/slot.ts";
import type { Spec } from "../../loader/core/spec.ts";
import { UsageError } from "../../loader/errors.ts";
import { netnsInode } from "../../loader/net/netns_inode.ts";
import type { ServiceOptions } from "../../loader/sidecar/service.ts";
import { adoptionOf, adoptMax, adoptOptions, chosenCgroup } from "./adopt.ts";
import { holdMax, holdOptions, holdTime, readyCheck } from "./hold.ts";
import { choice, integer } from "./values.ts";

const MAX_PID = 0x3fffff; // PID_MAX_LIMIT, include/linux/threads.h

/** As yargs wants it, and what a config file wants besides. */
export interface ServiceOption {
  readonly type: "string" | "boolean";
  readonly describe: string;
  readonly requiresArg?: true;
  readonly choices?: readonly string[];
  /** What holds when it is not given. */
  readonly defaultDescription?: string;
  /** Its key in a config file, where that is not its name. */
  readonly at?: string;
  /** The option without which it means nothing. */
  readonly wants?: string;
}

export const serviceOptions = {
  pid: {
    type: "string",
    requiresArg: true,
    describe: "only groups in which this process holds a listener",
  },
  ...adoptOptions,
  netns: {
    type: "string",
    requiresArg: true,
    defaultDescription: "all",
    describe: "only this network namespace: a path, or a pid",
  },
  migrate: {
    type: "string",
    choices: MIGRATE,
    requiresArg: true,
    defaultDescription: "newest",
    describe:
      "destination of migrating connections: the newest generation, any listener, or none (reset, as without us); observe: as without us, and counted",
  },
  route: {
    type: "string",
    choices: ROUTE,
    requiresArg: true,
    defaultDescription: "kernel",
    describe: "new connections: the kernel's own spread, or the newest generation only",
  },
  settings: {
    type: "string",
    choices: SETTINGS,
    requiresArg: true,
    defaultDescription: "prefer",
    describe:
      "listeners with the settings of the one that closes: preferred, insisted on (else dropped), or ignored",
  },
  ...holdOptions,
  wake: {
    type: "string",
    choices: WAKE,
    requiresArg: true,
    defaultDescription: "auto",
    describe:
      "wake what connections migrate to by a connection of our own: where the kernel does not (CVE-2026-46015, tried out at the start), always, or never",
  },
  wait: { type: "boolean", describe: "start before any listener exists" },
  replace: { type: "boolean", describe: "override a program that is not ours" },
} as const satisfies Readonly<Record<string, ServiceOption>>;

export type OptionName = keyof typeof serviceOptions;
export const OPTION_NAMES = Object.keys(serviceOptions) as OptionName[];

/** An option, whichever. */
export function optionOf(name: OptionName): ServiceOption {
  return serviceOptions[name];
}

/** What is said of one service, as it is said. */
export type ServiceWords = {
  readonly [K in OptionName]?:
    | ((typeof serviceOptions)[K]["type"] extends "boolean" ? boolean : string)
    | undefined;
};

/** Where and when it is said. */
export interface Site {
  /** What is not there yet (process, cgroup, namespace) may come; else it is a mistake. */
  readonly mayCome: boolean;
  /** Reads an option's value; a file notes what is wrong and goes on, the command line lets it through. */
  check<T>(option: OptionName, read: () => T): T | undefined;
}

/** What words say, checked. @throws UsageError unless the site's check notes it */
export function serviceOf(words: ServiceWords, specs: readonly Spec[], site: Site): ServiceOptions {
  const { check, mayCome } = site;
  for (const name of OPTION_NAMES) check(name, () => requireWanted(name, words));
  const cgroup = check(words.unit === undefined ? "cgroup" : "unit", () =>
    chosenCgroup(words, mayCome),
  );
  const pid = check("pid", () => pidOf(words.pid, mayCome));
  const netns = check("netns", () => netnsOf(words.netns, site));
  const copies = check("adopt-max", () => adoptMax(words["adopt-max"])) ?? 1;
  const adopt = check("adopt", () => adoptionOf(words, cgroup, copies));
  const max = check("hold-max", () => holdMax(words["hold-max"])) ?? 1;
  const hold = check("hold", () => holdOf(words, max));
  const ready = check("ready-check", () => given(words["ready-check"], readyCheck));
  return {
    specs,
    filter: {
      ...(pid === undefined ? {} : { pid }),
      ...(cgroup === undefined ? {} : { cgroup }),
    },
    ...(netns === undefined ? {} : { netns }),
    ...(adopt === undefined ? {} : { adopt }),
    migrate: check("migrate", () => choice("migrate", words.migrate, MIGRATE)) ?? "newest",
    route: check("route", () => choice("route", words.route, ROUTE)) ?? "kernel",
    settings: check("settings", () => choice("settings", words.settings, SETTINGS)) ?? "prefer",
    wake: check("wake", () => choice("wake", words.wake, WAKE)) ?? "auto",
    ...(hold === undefined ? {} : { hold }),
    ...(ready === undefined ? {} : { readyCheck: ready }),
    wait: words.wait === true,
    replace: words.replace === true,
  };
}

function given<T>(text: string | undefined, read: (text: string) => T): T | undefined {
  return text === undefined ? undefined : read(text);
}

function requireWanted(name: OptionName, words: ServiceWords): void {
  const { wants } = optionOf(name);
  const has = (option: string) => words[option as OptionName] !== undefined;
  if (wants !== undefined && has(name) && !words[wants as OptionName]) {
    throw new UsageError(`--${name} wants --${wants}`);
  }
}

function holdOf(words: ServiceWords, max: number): HoldPolicy | undefined {
  if (words.hold === undefined) return undefined;
  const timeMs = holdTime(words.hold);
  if (words.migrate === "off" || words.migrate === "observe") {
    throw new UsageError(
      `--migrate ${words.migrate} and --hold exclude each other: nothing would be handed over`,
    );
  }
  return { timeMs, max };
}

function pidOf(text: string | undefined, mayCome: boolean): number | undefined {
  if (text === undefined) return undefined;
  const pid = integer("pid", text, 1, MAX_PID);
  if (mayCome || existsSync(`/proc/${pid}`)) return pid;
  throw new UsageError(`--pid ${pid}: there is no such process`);
}

/** undefined: all of them. */
function netnsOf(text: string | undefined, { mayCome }: Site): string | number | undefined {
  if (text === undefined || text === "all") return undefined;
  const netns = /^\d+$/.test(text) ? integer("netns", text, 1, MAX_PID) : text;
  if (!mayCome) netnsInode(netns);
  else if (typeof netns === "string" && !netns.startsWith("/")) {
    throw new UsageError(
      `--netns '${text}': write 'all', a pid, or a path such as /run/netns/NAME`,
    );
  }
  return netns;
}
