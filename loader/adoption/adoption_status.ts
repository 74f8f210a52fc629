/** The adoptions as plain data, read from the pins without a sidecar. */

import type { PinTree } from "../bpf/pin_tree.ts";
import { AbiMismatchError } from "../errors.ts";
import { openAdoption } from "./adopt.ts";
import { Adoption } from "./adoption.ts";
import type { AdoptedPort } from "./adoption_record.ts";

export interface AdoptionStatus {
  /** As in /proc/PID/cgroup. */
  readonly cgroup: string;
  /** False after the cgroup's parent was removed. */
  readonly inForce: boolean;
  readonly ports: readonly AdoptedPort[];
}

function statusOf(adoption: Adoption, ports: ReadonlySet<number>): AdoptionStatus[] {
  const found = adoption.ports().filter(({ port }) => ports.size === 0 || ports.has(port));
  const { record, inForce } = adoption;
  return found.length > 0 ? [{ cgroup: record.path, inForce, ports: found }] : [];
}

/**
 * Returns every adoption, or those with one of `ports`; adds to `errors` what cannot be read.
 */
export function readAdoptions(
  pinTree: PinTree,
  ports: ReadonlySet<number>,
  errors: string[],
): AdoptionStatus[] {
  return pinTree.adoptions().flatMap((name) => {
    try {
      using adoption = Adoption.open(pinTree.directory(name));
      return statusOf(adoption, ports);
    } catch (error) {
      if (!pinTree.has(name)) return []; // removed after it was listed
      if (!(error instanceof AbiMismatchError)) throw error;
      errors.push(error.message);
      return [];
    }
  });
}

/** Returns the adoption of one cgroup, limited to these ports. */
export function readAdoption(
  pinTree: PinTree,
  cgroup: string,
  ports: ReadonlySet<number>,
): AdoptionStatus[] {
  using adoption = openAdoption(pinTree, cgroup);
  return adoption && ports.size > 0 ? statusOf(adoption, ports) : [];
}
