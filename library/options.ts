/** attach()'s options: those of the command line in camel case, checked by its rules. */

import { type HostKey, hostOf, hostOptions } from "../cli/options/host.ts";
import {
  OPTION_NAMES,
  type OptionName,
  optionOf,
  type ServiceValues,
  serviceOf,
} from "../cli/options/service.ts";
import { suggestion } from "../cli/options/suggest.ts";
import { OptionError, specs } from "../cli/options/values.ts";
import { UsageError } from "../loader/errors.ts";
import type { Log } from "../loader/log.ts";
import type { SidecarOptions } from "../loader/sidecar/sidecar_options.ts";

/** A time, such as `"10s"`, `"500ms"`, `"1.5m"` or `"1h"`. */
export type Duration = `${number}${"ms" | "s" | "m" | "h"}`;

/**
 * Options of {@link attach}. Each is the option of `reuseport-migrate attach` with that name, with
 * its default, its bounds and its meaning (docs/COMMANDS.md).
 */
export interface AttachOptions {
  /** SPECs that are left out, such as `[":22"]`. */
  readonly except?: readonly string[];
  /** Only groups in which this process holds a listener. */
  readonly pid?: number;
  /** Only groups with a listener held in this cgroup v2 (a path), or below it. */
  readonly cgroup?: string;
  /** Only groups with a listener held by this systemd service. Excludes `cgroup`. */
  readonly unit?: string;
  /**
   * Set SO_REUSEPORT on binds to the SPEC's ports in `cgroup` or `unit`, for servers that do not.
   * Implies `wait`. Requires Linux 6.1.
   */
  readonly adopt?: boolean;
  /** Warn if an adopted group has more listeners; default: 2. Requires `adopt`. */
  readonly adoptMax?: number;
  /** A network namespace by path or pid, `"own"` (the default), or `"all"`. */
  readonly netns?: string | number;
  /**
   * Where a closing listener's connections go: `"newest"` generation (the default), `"any"`
   * listener, `"off"` (nowhere: they are reset), or `"observe"` (as off, and counted).
   */
  readonly migrate?: "newest" | "any" | "off" | "observe";
  /** Where new connections go: all listeners (`"kernel"`, the default), or the newest generation. */
  readonly route?: "kernel" | "newest";
  /** Whether destinations may have other socket options: `"prefer"` not (the default). */
  readonly settings?: "prefer" | "strict" | "ignore";
  /** While no listener is left, hold connections this long for the next one: 100 ms to 1 h. */
  readonly hold?: Duration;
  /** The most connections to hold; default: 4096. Requires `hold`. */
  readonly holdMax?: number;
  /**
   * Hand held connections over once the new server accepts a connection (`"tcp"`), or once this
   * shell command exits with 0. Requires `hold`.
   */
  readonly readyCheck?: string;
  /** Wake destinations of migrations: if the kernel does not (`"auto"`, the default). */
  readonly wake?: "auto" | "always" | "never";
  /** Start even if no listener matches yet, and go on when none is left. */
  readonly wait?: boolean;
  /** Replace an attached program that is not ours. */
  readonly replace?: boolean;
  /** Directory on a bpf file system, for the pins; default: the first one mounted. */
  readonly bpffs?: string;
  /** The most groups to manage; default: 1,024, or fewer if the limit of open files is low. */
  readonly maxGroups?: number;
  /** The most groups of one user in one network namespace; default: 64. */
  readonly maxGroupsPerUser?: number;
  /** Called with each line of the log; default: there is no log. */
  readonly log?: Log;
}

/** Options of the process that a library has too; the others concern output and /metrics. */
const HOST = ["bpffs", "max-groups", "max-groups-per-user"] as const satisfies HostKey[];

const camel = (name: string) => name.replace(/-(\w)/g, (_, letter) => letter.toUpperCase());

/** Names on the command line, by their names here. */
const NAMES = new Map<string, string>(
  [...OPTION_NAMES, ...HOST].map((name) => [camel(name), name]),
);

/** Returns what a sidecar needs. @throws UsageError for a SPEC or an option */
export function sidecarOptions(
  spec: string | readonly string[],
  options: AttachOptions,
): SidecarOptions {
  const all = specs([spec ?? []].flat());
  if (all.length === 0) throw new UsageError("attach requires a SPEC, such as ':443'");
  const { log: _, ...others } = options;
  const values: Record<string, string | boolean> = {};
  for (const [name, value] of Object.entries(others)) {
    if (value === undefined) continue;
    const option = NAMES.get(name);
    if (option === undefined) {
      throw new OptionError(
        `'${name}'`,
        `is not an option${suggestion(name, [...NAMES.keys(), "log"])}`,
      );
    }
    values[option] = asGiven(name, typeOf(option), value);
  }
  const service = serviceOf(values as ServiceValues, all, {
    mayAppear: values["wait"] === true,
    nameOf: camel,
    check: (option, read) => read(camel(option)),
  });
  const { bpffs, maxGroups, maxGroupsPerUser } = hostOf(values, camel);
  return {
    ...service,
    ...(bpffs === undefined ? {} : { bpffs }),
    ...(maxGroups === undefined ? {} : { maxGroups }),
    ...(maxGroupsPerUser === undefined ? {} : { maxGroupsPerUser }),
  };
}

function typeOf(option: string): "string" | "boolean" {
  const host = HOST.find((each) => each === option);
  return host === undefined ? optionOf(option as OptionName).type : hostOptions[host].type;
}

/** Returns a value as the command line has it: text, or a switch. @throws OptionError */
function asGiven(name: string, type: "string" | "boolean", value: unknown): string | boolean {
  if (type === "boolean") {
    if (typeof value === "boolean") return value;
    throw new OptionError(name, `must be true or false, not ${JSON.stringify(value)}`);
  }
  if (Array.isArray(value) && name === "except") return value.join(",");
  if (typeof value === "string" || typeof value === "number") return String(value);
  throw new OptionError(name, `must be text or a number, not ${JSON.stringify(value)}`);
}
