/**
 * The members of a group: its listeners, the standby, and listeners without a slot or that no program
 * can select.
 */

import { endpoint, isSelectable, type Listener } from "../core/listener.ts";
import { AlreadyManagedError, hasCode, StandbyError } from "../errors.ts";
import type { Group } from "../group/group.ts";
import type { StandbyRecord } from "../group/hold_record.ts";
import { isKept } from "../keeper/orphans.ts";
import { borrow } from "../lender/lender.ts";
import { checkRet } from "../sys/check.ts";

/** The members of a group: its standby, further ones, and the listeners of servers. */
export interface SplitMembers {
  readonly standby: Listener | undefined;
  /**
   * With further ones that a keeper has: a sidecar was killed when it was about to close them, or the
   * snapshot is older than the standby.
   */
  readonly standbys: readonly Listener[];
  readonly listeners: readonly Listener[];
}

/** Splits the members of a group by what its pins say; null: they do not say it. */
export function splitStandby(
  pinned: { readonly standby: Pick<StandbyRecord, "cookie"> } | null,
  members: readonly Listener[],
): SplitMembers {
  const cookie = pinned?.standby.cookie;
  const isStandby = (member: Listener) => member.cookie === cookie || isKept(member);
  const standbys = members.filter(isStandby);
  return {
    standby: standbys.find((member) => member.cookie === cookie),
    standbys,
    listeners: standbys.length === 0 ? members : members.filter((one) => !isStandby(one)),
  };
}

/** Returns the listeners that require a slot: all except the standby and those of MPTCP. */
export function placeable(group: Group, members: readonly Listener[]): Listener[] {
  return splitStandby(group, members).listeners.filter(isSelectable);
}

/** Returns the listeners that have a slot. */
export function placed(group: Group, members: readonly Listener[]): Listener[] {
  const open = group.slots().filter(({ slot }) => slot.closedMs === null);
  const cookies = new Set(open.map(({ slot }) => slot.cookie));
  return placeable(group, members).filter(({ cookie }) => cookies.has(cookie));
}

/**
 * Puts a listener of another process into its group's sockmap. Returns false if it has closed after
 * the snapshot, or no owner lends it.
 * @throws AlreadyManagedError if another BPF map contains it
 */
export function placeListener(group: Group, slot: number, listener: Listener): boolean {
  const [result] = borrow(listener, [{ kind: "place", value: slot }], group.listenersFd) ?? [];
  if (!result) return false;
  try {
    checkRet("bpf_map_update_elem", -result.error);
    return true;
  } catch (error) {
    if (hasCode(error, "EBUSY")) throw alreadyManaged(listener, { cause: error });
    if (hasCode(error, "EOPNOTSUPP", "EINVAL")) return false; // it no longer listens
    throw error;
  }
}

/** Returns how many listeners have no slot: the group could not grow for them. */
export function countUnplaced(group: Group, members: readonly Listener[]): number {
  return Math.max(0, placeable(group, members).length - group.record.slots);
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

/** Returns whether a listener of the group answers only peers with a key. */
export function isKeyed(members: readonly Listener[]): boolean {
  return members.some(({ keyed }) => keyed);
}

/** Why such a group has no standby. */
export const KEYED = "its TCP_MD5SIG or TCP_AO keys cannot be copied";

/**
 * The warning while a group may have no standby: the program would give all connections to the
 * others.
 */
export const NO_STANDBY =
  "no standby while the group has listeners that the program cannot select (MPTCP, or of a process outside our pid namespace)";

/** The warning while another listener gets the clients of a group without a listener. */
export function noStandbyBeside({ key, owners: [owner] }: Listener): string {
  const who = owner ? ` of ${owner.comm} (pid ${owner.pid})` : "";
  return `no standby while ${endpoint(key)}${who} listens too: it would take that listener's clients`;
}

/**
 * @throws StandbyError if the group has listeners that the program cannot select, or with keys: the
 *   standby would answer peers that the server refuses
 */
export function refuseUnselectable(members: readonly Listener[]): void {
  const [first] = members;
  if (first && isKeyed(members)) {
    throw new StandbyError(
      `${endpoint(first.key)} cannot be held: ${KEYED}; attach without --hold`,
    );
  }
  const count = countUnselectable(members);
  if (!first || count === 0) return;
  throw new StandbyError(
    `${endpoint(first.key)} cannot be held: ${count} of its ${first.groupSize} listeners cannot be selected by a program (MPTCP, or of a process outside our pid namespace); attach without --hold, or turn MPTCP off (Go: GODEBUG=multipathtcp=0)`,
  );
}

/** Returns the error for a listener that is in another program's map. */
export function alreadyManaged({ owners, key }: Listener, options?: ErrorOptions): Error {
  return new AlreadyManagedError(
    `the listener of pid ${owners[0]?.pid} on ${endpoint(key)} is already managed by another BPF map (REUSEPORT_SOCKARRAY or sockmap); remove it from that map first`,
    options,
  );
}
