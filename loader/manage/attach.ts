/** Attaching a program to a kernel group, through any listener of it. */

import { programName } from "../bpf/program.ts";
import { SELECT_PROGRAM } from "../core/abi.ts";
import { endpoint, isSelectable, type Listener } from "../core/listener.ts";
import { FilterLockedError, ForeignProgramError, hasCode } from "../errors.ts";
import type { Group } from "../group/group.ts";
import { borrow } from "../net/borrow.ts";
import { throughShortLivedListener } from "../net/short_lived_listener.ts";
import * as libc from "../sys/libc.ts";

/**
 * Attaches; it replaces what was attached. False when no owner could be borrowed from.
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
      return false; // another one's owner may not have locked it
    }
    return true;
  });
  if (!done && locked) throw new FilterLockedError(sayLocked(locked));
  return done;
}

/** Detaches what is attached. False when no owner could be borrowed from. @throws as {@link attachProgram} */
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

/** SO_LOCK_FILTER: nobody attaches through it, root included. */
export function hasLockedFilter(fd: number): boolean {
  return libc.getsockopt(fd, libc.SOL_SOCKET, libc.SO_LOCK_FILTER, 4).readInt32LE() !== 0;
}

/**
 * Runs `use` on borrowed listeners of the group until it is content; where all of them are MPTCP, on one of our own.
 */
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

function sayLocked({ key, owners: [owner] }: Listener): string {
  const who = owner ? `${owner.comm} (pid ${owner.pid})` : "a process";
  return `SO_LOCK_FILTER is set on the listener of ${who} on ${endpoint(key)}: its owner has locked its filters, and the kernel lets nobody attach a program through it; start it without`;
}

/** @throws ForeignProgramError when the group runs a program that is not `ours`. */
export function refuseForeign(members: readonly Listener[], ours: number | null): void {
  for (const { key, programId } of members) {
    if (programId === null || programId === ours) continue;
    const name = programId === 0 ? null : programName(programId);
    const id = `BPF program ${programId}${name ? ` '${name}'` : ""}`;
    const what = programId === 0 ? "a classic BPF filter" : id;
    const whose =
      name === SELECT_PROGRAM
        ? "of another reuseport-migrate, pinned elsewhere: detach it there (--bpffs)"
        : "which is not ours: detach it";
    throw new ForeignProgramError(
      `the group of ${endpoint(key)} already runs ${what}, ${whose}, or override it with --replace`,
    );
  }
}

/** `unreachable`: no owner of a listener could be borrowed from. */
export type Attached = "attached" | "unchanged" | "unreachable";

/**
 * Attaches the group's program where it is not, and counts that.
 * @throws ForeignProgramError when another one is attached and `replace` is false
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
