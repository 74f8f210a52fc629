/** Giving a group back to the kernel: for its sidecar, and for a `detach` by somebody else. */

import type { PinTree } from "../bpf/pin_tree.ts";
import { endpoint, type Listener } from "../core/listener.ts";
import { ConflictError } from "../errors.ts";
import type { Group } from "../group/group.ts";
import { detachProgram } from "./attach.ts";
import { shutDown, splitStandby } from "./members.ts";

/** How often, and how long apart, a group is given back whose owners are going away. */
const GIVE_BACK_TRIES = 20;
const GIVE_BACK_MS = 10;

/**
 * Ends the standby, detaches, then unpins: in this order it is safe to be cut short.
 * @throws ConflictError when no owner could be borrowed from; nothing is removed then
 */
export function detachGroup(pinTree: PinTree, group: Group, members: readonly Listener[]): void {
  const { standby, listeners } = splitStandby(group, members);
  // Before the program goes: the kernel's hash would give the standby a share.
  if (standby) shutDown(standby);
  if (!detachOurs(group, listeners)) {
    throw new ConflictError(
      `${endpoint(group.record.key)}: no listener could be borrowed to detach from; nothing was removed, run detach again`,
    );
  }
  pinTree.remove(group.name);
}

/** False when it is attached, and no owner could be borrowed from to detach it. */
function detachOurs(group: Group, members: readonly Listener[]): boolean {
  const attached = members.some(({ programId }) => programId === group.programId);
  return !attached || detachProgram(members);
}

/**
 * A dying process shows its listeners for a moment, and lends none of them: tries again.
 * @param step gives back a group with these members
 */
export function detachGroupWithRetries(
  step: (members: readonly Listener[]) => void,
  members: readonly Listener[],
  readAgain: () => readonly Listener[],
): void {
  let now = members;
  for (let tries = 1; ; tries++) {
    try {
      step(now);
      return;
    } catch (error) {
      if (!(error instanceof ConflictError) || tries === GIVE_BACK_TRIES) throw error;
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, GIVE_BACK_MS);
      now = readAgain();
    }
  }
}
