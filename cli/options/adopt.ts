/** --cgroup, --unit and --adopt of a service: which cgroup, and whether its binds are adopted. */

import type { AdoptOptions } from "../../loader/adoption/service_adoption.ts";
import { UsageError } from "../../loader/errors.ts";
import { adoptablePath, cgroupPath, cgroupText } from "../../loader/host/cgroup.ts";
import { unitCgroup } from "../../loader/host/systemd_unit.ts";
import { integer } from "./values.ts";

/** A server and its successor. */
const DEFAULT_ADOPT_MAX = 2;

export const adoptOptions = {
  cgroup: {
    type: "string",
    requiresArg: true,
    describe: "only groups with a listener held in this cgroup v2 (a path), or below",
  },
  unit: {
    type: "string",
    requiresArg: true,
    describe: "the same for the cgroup of a systemd service, running or not",
  },
  adopt: {
    type: "boolean",
    describe:
      "TCP binds to the SPEC's ports in that cgroup set SO_REUSEPORT, for servers that do not: at their next start; implies --wait. Two copies started by mistake then share the port",
  },
  "adopt-max": {
    type: "string",
    requiresArg: true,
    at: "adopt.max",
    wants: "adopt",
    defaultDescription: `${DEFAULT_ADOPT_MAX}`,
    describe: "warn when a group has more listeners than this",
  },
} as const;

export interface AdoptWords {
  readonly cgroup?: string | undefined;
  readonly unit?: string | undefined;
  readonly adopt?: boolean | undefined;
  readonly "adopt-max"?: string | undefined;
}

/** The cgroup they name, if any, as /proc/PID/cgroup writes it. @throws UsageError */
export function chosenCgroup(
  { cgroup, unit, adopt }: AdoptWords,
  mayCome: boolean,
): string | undefined {
  if (cgroup !== undefined && unit !== undefined) {
    throw new UsageError("--cgroup and --unit exclude each other");
  }
  // A unit's cgroup comes and goes with it.
  if (unit !== undefined)
    return adopt && !mayCome ? adoptablePath(unitCgroup(unit)) : unitCgroup(unit);
  if (cgroup === undefined) return undefined;
  if (mayCome) return cgroupText(cgroup);
  return adopt ? adoptablePath(cgroup) : cgroupPath(cgroup);
}

/** Whether and how the binds of `cgroup` are adopted. @throws UsageError */
export function adoptionOf(
  words: AdoptWords,
  cgroup: string | undefined,
  max: number,
): AdoptOptions | undefined {
  if (!words.adopt) return undefined;
  if ((words.cgroup ?? words.unit) === undefined) {
    throw new UsageError("--adopt wants to know whose binds: --cgroup PATH or --unit NAME");
  }
  return cgroup === undefined ? undefined : { cgroup, max };
}

/** The value of --adopt-max. */
export function adoptMax(text: string | undefined): number {
  return text === undefined ? DEFAULT_ADOPT_MAX : integer("adopt-max", text, 1, 65535);
}
