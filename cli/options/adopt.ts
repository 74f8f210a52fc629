/**
 * --cgroup, --unit and --adopt of a service: its cgroup, and whether the binds there are adopted.
 */

import { adoptablePath, cgroupPath, cgroupText } from "../../loader/host/cgroup.ts";
import { unitCgroup } from "../../loader/host/systemd_unit.ts";
import { integer } from "./values.ts";

/** A server and its successor. */
const DEFAULT_ADOPT_MAX = 2;

export const adoptOptions = {
  cgroup: {
    type: "string",
    requiresArg: true,
    describe: "only groups with a listener held in this cgroup v2 (a path), or below it",
  },
  unit: {
    type: "string",
    requiresArg: true,
    describe: "only groups with a listener held by this systemd service, running or not",
  },
  adopt: {
    type: "boolean",
    describe:
      "set SO_REUSEPORT on TCP binds to the SPEC's ports in that cgroup, for servers that do not: from their next start; implies --wait. Two copies started by mistake then share the port",
  },
  "adopt-max": {
    type: "string",
    requiresArg: true,
    key: "adopt.max",
    requires: "adopt",
    defaultDescription: `${DEFAULT_ADOPT_MAX}`,
    describe: "warn if a group has more listeners than this",
  },
} as const;

/**
 * Returns the cgroup of --cgroup or --unit as /proc/PID/cgroup writes it, or undefined if neither
 * is given.
 * @param mayAppear whether the cgroup may be created later
 * @throws UsageError
 */
export function chosenCgroup(
  values: {
    readonly cgroup?: string | undefined;
    readonly unit?: string | undefined;
    readonly adopt?: boolean | undefined;
  },
  mayAppear: boolean,
): string | undefined {
  const { cgroup, unit, adopt } = values;
  // The cgroup of a unit is created and removed with each start.
  if (unit !== undefined) {
    return adopt && !mayAppear ? adoptablePath(unitCgroup(unit)) : unitCgroup(unit);
  }
  if (cgroup === undefined) return undefined;
  if (mayAppear) return cgroupText(cgroup);
  return adopt ? adoptablePath(cgroup) : cgroupPath(cgroup);
}

/** Parses --adopt-max. @throws OptionError */
export function adoptMax(label: string, text: string | undefined): number {
  return text === undefined ? DEFAULT_ADOPT_MAX : integer(label, text, 1, 65535);
}
