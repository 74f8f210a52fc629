/** Detaches a group and removes its pins: for its sidecar, and for the `detach` command. */
import { setTimeout as sleep } from "node:timers/promises";
import type { PinTree } from "../bpf/pin_tree.ts";
import { endpoint, type Listener } from "../core/listener.ts";
import { ConflictError } from "../errors.ts";
import type { Group } from "../group/group.ts";
import { detachProgram } from "./attach.ts";
import { shutDown, splitStandby } from "./members.ts";

/** Tries to detach a group whose owners are exiting, and the time between two of them. */
const TRIES = 20;
const RETRY_MS = 10;

/**
 * Ends the standby, detaches, then unpins: in this order an interruption is safe.
 * @throws ConflictError if no listener could be borrowed; nothing is removed then
 */
export function detachGroup(pinTree: PinTree, group: Group, members: readonly Listener[]): void {
  const { standby, listeners } = splitStandby(group, members);
  // Before the program is detached: the kernel's hash would give the standby a share.
  if (standby) shutDown(standby);
  if (!detachOurs(group, listeners)) {
    throw new ConflictError(
      `${endpoint(group.record.key)} was not detached: no listener could be borrowed; run detach again`,
    );
  }
  pinTree.remove(group.name);
}

/** Returns false if our program is attached and no listener could be borrowed to detach it. */
function detachOurs(group: Group, members: readonly Listener[]): boolean {
  const attached = members.some(({ programId }) => programId === group.programId);
  return !attached || detachProgram(members);
}

/**
 * Detaches a group; tries again while its owners are exiting. A dying process shows its listeners
 * for a moment, and none can be borrowed from it.
 * @param step detaches the group with these members
 * @throws ConflictError as {@link detachGroup}, after the last try
 */
export async function detachGroupWithRetries(
  step: (members: readonly Listener[]) => void,
  members: readonly Listener[],
  readAgain: () => Promise<readonly Listener[]>,
): Promise<void> {
  let now = members;
  for (let tries = 1; ; tries++) {
    try {
      step(now);
      return;
    } catch (error) {
      if (!(error instanceof ConflictError) || tries === TRIES) throw error;
      await sleep(RETRY_MS);
      now = await readAgain();
    }
  }
}
