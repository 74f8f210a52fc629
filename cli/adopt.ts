/** --cgroup, --unit and --adopt of attach: which cgroup, and whether its binds are adopted. */
import { UsageError } from "../loader/errors.ts";
import type { AdoptOptions } from "../loader/index.ts";
import { integer, once } from "./options.ts";

/** A server and its successor. */
const DEFAULT_ADOPT_MAX = 2;

export const adoptOptions = {
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
    describe: `warn when a group has more listeners than this [default: ${DEFAULT_ADOPT_MAX}]`,
  },
} as const;

export interface AdoptArguments {
  readonly cgroup: string | undefined;
  readonly unit: string | undefined;
  readonly adopt: boolean | undefined;
  readonly "adopt-max": string | undefined;
}

export interface CgroupChoice {
  readonly cgroup: string | undefined;
  readonly adopt: AdoptOptions | undefined;
}

/** What these options say, checked against the host as it is now. @throws UsageError */
export async function cgroupChoice(args: AdoptArguments): Promise<CgroupChoice> {
  const named = once("cgroup", args.cgroup);
  const unit = once("unit", args.unit);
  const max = once("adopt-max", args["adopt-max"]);
  if (named !== undefined && unit !== undefined) {
    throw new UsageError("--cgroup and --unit exclude each other");
  }
  if (max !== undefined && !args.adopt) throw new UsageError("--adopt-max wants --adopt");
  if (args.adopt && (named ?? unit) === undefined) {
    throw new UsageError("--adopt wants to know whose binds: --cgroup PATH or --unit NAME");
  }
  const limit = max === undefined ? DEFAULT_ADOPT_MAX : integer("adopt-max", max, 1, 65535);
  const text = named ?? unit;
  if (text === undefined) return { cgroup: undefined, adopt: undefined };

  const { adoptablePath, cgroupPath, unitCgroup } = await import("../loader/index.ts");
  const path = unit === undefined ? text : unitCgroup(unit);
  if (args.adopt) {
    const cgroup = adoptablePath(path);
    return { cgroup, adopt: { cgroup, max: limit } };
  }
  // A unit's cgroup comes and goes with it.
  return { cgroup: unit === undefined ? cgroupPath(path) : path, adopt: undefined };
}
