/** Who is in a group: the listeners it serves with, the standby, and those that cannot be told apart. */

import { endpoint, isSelectable, type Listener } from "../core/listener.ts";
import { StandbyError } from "../errors.ts";
import type { Group } from "../group/group.ts";
import { borrow } from "../net/borrow.ts";
import * as libc from "../sys/libc.ts";

/** The standby among a group's members, and the others. */
export function splitStandby(
  group: Group,
  members: readonly Listener[],
): { standby: Listener | undefined; others: readonly Listener[] } {
  const { cookie } = group.standby;
  if (cookie === 0n) return { standby: undefined, others: members };
  return {
    standby: members.find((member) => member.cookie === cookie),
    others: members.filter((member) => member.cookie !== cookie),
  };
}

/**
 * Listeners that the kernel counts in the group and that no program of ours can select: MPTCP ones,
 * and those we do not see, of processes in a pid namespace that is not below ours.
 */
export function hidden(members: readonly Listener[]): number {
  const selectable = members.filter(isSelectable).length;
  return Math.max(0, ...members.map(({ groupSize }) => groupSize - selectable));
}

/** The group's MPTCP listeners. */
export function mptcpOf<T extends Pick<Listener, "protocol">>(members: readonly T[]): T[] {
  return members.filter(({ protocol }) => protocol === "mptcp");
}

export const HIDDEN =
  "no standby while listeners are in the group that the program cannot select (MPTCP, or of a process we cannot see): they would get nothing beside it";

/** @throws StandbyError */
export function refuseHidden(members: readonly Listener[]): void {
  const [first] = members;
  const count = hidden(members);
  if (!first || count === 0) return;
  throw new StandbyError(
    `${endpoint(first.key)} cannot be held: ${count} of its ${first.groupSize} listeners cannot be selected by a program (MPTCP, or of a process we cannot see); attach without --hold, or turn MPTCP off (Go: GODEBUG=multipathtcp=0)`,
  );
}

/**
 * Ends a standby from outside, whoever holds it: it leaves LISTEN at once, and what it holds moves
 * to the group's other listeners, or is reset. Its sidecar sees that and closes it.
 */
export function shutDown(standby: Listener): boolean {
  return borrow(standby, shut) ?? false;
}

function shut(fd: number): boolean {
  libc.shutdown(fd, libc.SHUT_RDWR);
  return true;
}
