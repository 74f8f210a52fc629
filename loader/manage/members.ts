/** The members of a group: its listeners, the standby, and listeners no program can select. */

import { endpoint, isSelectable, type Listener } from "../core/listener.ts";
import { StandbyError } from "../errors.ts";
import type { Group } from "../group/group.ts";
import { borrow } from "../net/borrow.ts";
import * as libc from "../sys/libc.ts";

/** Splits the members of a group into its standby and its other listeners. */
export function splitStandby(
  group: Group,
  members: readonly Listener[],
): { standby: Listener | undefined; listeners: readonly Listener[] } {
  const { cookie } = group.standby;
  if (cookie === 0n) return { standby: undefined, listeners: members };
  return {
    standby: members.find((member) => member.cookie === cookie),
    listeners: members.filter((member) => member.cookie !== cookie),
  };
}

/**
 * Counts the listeners of the kernel's group that our program cannot select: MPTCP ones, and those
 * of processes outside our pid namespace, which no snapshot contains.
 */
export function countUnselectable(members: readonly Listener[]): number {
  const selectable = members.filter(isSelectable).length;
  return Math.max(0, ...members.map(({ groupSize }) => groupSize - selectable));
}

/** Returns the group's MPTCP listeners. */
export function mptcpOf<T extends Pick<Listener, "protocol">>(members: readonly T[]): T[] {
  return members.filter(({ protocol }) => protocol === "mptcp");
}

/**
 * The warning while a group may have no standby: the program would give all connections to the
 * others.
 */
export const NO_STANDBY =
  "no standby while the group has listeners that the program cannot select (MPTCP, or of a process outside our pid namespace)";

/** @throws StandbyError if the group has listeners that the program cannot select */
export function refuseUnselectable(members: readonly Listener[]): void {
  const [first] = members;
  const count = countUnselectable(members);
  if (!first || count === 0) return;
  throw new StandbyError(
    `${endpoint(first.key)} cannot be held: ${count} of its ${first.groupSize} listeners cannot be selected by a program (MPTCP, or of a process outside our pid namespace); attach without --hold, or turn MPTCP off (Go: GODEBUG=multipathtcp=0)`,
  );
}

/**
 * Shuts a listener of another process down: it leaves LISTEN at once, and its connections migrate
 * to the group's other listeners, or are reset. Returns false if no owner lends it any longer.
 */
export function shutDown(listener: Listener): boolean {
  return borrow(listener, shut) ?? false;
}

function shut(fd: number): boolean {
  libc.shutdown(fd, libc.SHUT_RDWR);
  return true;
}
