/** What is adopted, as plain data. Changes nothing; needs no sidecar. */

import type { PinTree } from "../bpf/pin_tree.ts";
import { AbiMismatchError } from "../errors.ts";
import { openAdoption } from "./adopt.ts";
import { Adoption } from "./adoption.ts";
import type { AdoptedPort } from "./adoption_record.ts";

export interface AdoptionStatus {
  /** As in /proc/PID/cgroup. */
  readonly cgroup: string;
  /** False once the cgroup's parent was removed. */
  readonly inForce: boolean;
  readonly ports: readonly AdoptedPort[];
}

function statusOf(adoption: Adoption, ports: ReadonlySet<number>): AdoptionStatus[] {
  const found = adoption.ports().filter(({ port }) => ports.size === 0 || ports.has(port));
  const { record, inForce } = adoption;
  return found.length > 0 ? [{ cgroup: record.path, inForce, ports: found }] : [];
}

/** Every adoption, or those with one of `ports`; one of another version goes to `errors`. */
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
      if (!pinTree.has(name)) return []; // removed since it was listed
      if (!(error instanceof AbiMismatchError)) throw error;
      errors.push(error.message);
      return [];
    }
  });
}

/** The adoption of one cgroup, as far as these ports go. */
export function readAdoption(
  pinTree: PinTree,
  cgroup: string,
  ports: ReadonlySet<number>,
): AdoptionStatus[] {
  using adoption = openAdoption(pinTree, cgroup);
  return adoption && ports.size > 0 ? statusOf(adoption, ports) : [];
}
