/** Attaches a program to a kernel group, through any of its listeners. */

import { programName } from "../bpf/program.ts";
import { SELECT_PROGRAM } from "../core/abi.ts";
import { endpoint, isSelectable, type Listener } from "../core/listener.ts";
import { FilterLockedError, ForeignProgramError, hasCode } from "../errors.ts";
import type { Group } from "../group/group.ts";
import { borrow } from "../net/borrow.ts";
import { throughShortLivedListener } from "../net/short_lived_listener.ts";
import * as libc from "../sys/libc.ts";

/**
 * Attaches a program in place of the attached one. Returns false if no owner lends a listener.
 * @throws FilterLockedError, PermissionError, StandbyError
 */
export function attachProgram(members: readonly Listener[], programFd: number): boolean {
  let locked: Listener | null = null;
  const done = through(members, (fd, member) => {
    try {
      libc.setsockopt(fd, libc.SOL_SOCKET, libc.SO_ATTACH_REUSEPORT_EBPF, programFd);
    } catch (error) {
      if (!hasCode(error, "EPERM") || !hasLockedFilter(fd)) throw error;
      locked = member;
      return false; // the filters of another listener may not be locked
    }
    return true;
  });
  if (!done && locked) throw new FilterLockedError(lockedText(locked));
  return done;
}

/**
 * Detaches the attached program. Returns false if no owner lends a listener.
 * @throws as {@link attachProgram}
 */
export function detachProgram(members: readonly Listener[]): boolean {
  return through(members, (fd) => {
    try {
      libc.setsockopt(fd, libc.SOL_SOCKET, libc.SO_DETACH_REUSEPORT_BPF, 0);
    } catch (error) {
      if (!hasCode(error, "ENOENT")) throw error;
    }
    return true;
  });
}

/** Returns true if SO_LOCK_FILTER is set: then no process attaches through it, root included. */
export function hasLockedFilter(fd: number): boolean {
  return libc.getsockopt(fd, libc.SOL_SOCKET, libc.SO_LOCK_FILTER, 4).readInt32LE() !== 0;
}

/** Runs `use` on borrowed listeners until it returns true; if all are MPTCP, on one of our own. */
function through(
  members: readonly Listener[],
  use: (fd: number, member: Listener) => boolean,
): boolean {
  const plain = members.filter(isSelectable);
  if (plain.some((member) => borrow(member, (fd) => use(fd, member)))) return true;
  const [first] = members;
  if (!first || plain.length > 0) return false;
  let done = false;
  throughShortLivedListener(first.key, first.uid, (fd) => {
    done = use(fd, first);
  });
  return done;
}

function lockedText({ key, owners: [owner] }: Listener): string {
  const process = owner ? `${owner.comm} (pid ${owner.pid})` : "a process";
  return `SO_LOCK_FILTER is set on the listener of ${process} on ${endpoint(key)}: it has locked its filters, so no program can be attached through it; start it without SO_LOCK_FILTER`;
}

/** @throws ForeignProgramError if a program other than `ours` is attached to the group */
export function refuseForeign(members: readonly Listener[], ours: number | null): void {
  for (const { key, programId } of members) {
    if (programId === null || programId === ours) continue;
    const name = programId === 0 ? null : programName(programId);
    const id = `BPF program ${programId}${name ? ` '${name}'` : ""}`;
    const program = programId === 0 ? "a classic BPF filter" : id;
    const advice =
      name === SELECT_PROGRAM
        ? "of another reuseport-migrate; detach it with the --bpffs it was attached with"
        : "which is not ours; detach it";
    throw new ForeignProgramError(
      `the group of ${endpoint(key)} already runs ${program}, ${advice}, or replace it with --replace`,
    );
  }
}

/** `unreachable`: no owner of a listener lends it. */
export type Attached = "attached" | "unchanged" | "unreachable";

/**
 * Attaches the group's program unless it is attached, and counts attachments.
 * @throws ForeignProgramError if another program is attached and `replace` is false
 */
export function attachGroup(
  group: Group,
  members: readonly Listener[],
  replace: boolean,
): Attached {
  if (members.length === 0) return "unchanged";
  if (members.some(({ programId }) => programId === group.programId)) return "unchanged";
  if (!replace) refuseForeign(members, group.programId);
  if (!attachProgram(members, group.programFd)) return "unreachable";
  const { record } = group;
  const attachments = record.attachments + 1;
  group.setRecord({ ...record, attachments, uid: members[0]?.uid ?? record.uid });
  return "attached";
}
