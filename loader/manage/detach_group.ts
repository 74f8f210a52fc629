/** Detaches a group and removes its pins: for its sidecar, and for the `detach` command. */
import { setTimeout as sleep } from "node:timers/promises";
import type { PinTree } from "../bpf/pin_tree.ts";
import { endpoint, type Listener, type QueuesByCookie } from "../core/listener.ts";
import { ConflictError } from "../errors.ts";
import type { Group } from "../group/group.ts";
import { type HeldConnections, NO_CONNECTIONS } from "../group/hold_record.ts";
import { type SplitMembers, splitStandby } from "../hold/members.ts";
import { shutDownStandby } from "../hold/standby_end.ts";
import { shutDown } from "../net/foreign_listener.ts";
import { detachProgram } from "./attach.ts";

/** Tries to detach a group whose owners are exiting, and the time between two of them. */
const TRIES = 20;
const RETRY_MS = 10;

/**
 * Ends the standby, detaches, then unpins: in this order an interruption is safe.
 * @returns what became of the connections of the standby
 * @throws ConflictError if no listener could be borrowed; nothing is removed then
 */
export function detachGroup(
  pinTree: PinTree,
  group: Group,
  members: readonly Listener[],
  queues: QueuesByCookie,
): HeldConnections {
  const held = shutDownStandby(group, members, queues);
  const isAttached = (member: Listener) => group.isAttachedTo(member);
  detachMembers(pinTree, group.name, splitStandby(group, members), isAttached);
  return held ?? NO_CONNECTIONS;
}

/**
 * As {@link detachGroup}, for the pins of any version.
 * @param isAttached whether the program of these pins runs in a listener's kernel group
 */
export function detachMembers(
  pinTree: PinTree,
  name: string,
  { standbys, listeners }: SplitMembers,
  isAttached: (member: Listener) => boolean,
): void {
  // Before the program is detached: the kernel's hash would give the standby a share.
  for (const standby of standbys) shutDown(standby);
  const attached = listeners.find(isAttached);
  if (attached && !detachProgram(listeners)) {
    throw new ConflictError(
      `${endpoint(attached.key)} was not detached: no listener could be borrowed; run detach again`,
    );
  }
  pinTree.remove(name);
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
