/** Attaches a program to a kernel group, through any of its listeners. */
import { constants } from "node:os";
import { programName } from "../bpf/program.ts";
import { SELECT_PROGRAM } from "../core/abi.ts";
import { endpoint, isSelectable, type Listener } from "../core/listener.ts";
import type { Policy } from "../core/slot.ts";
import { FilterLockedError, ForeignProgramError, HungError, hasCode } from "../errors.ts";
import type { Group } from "../group/group.ts";
import { alreadyManaged } from "../hold/members.ts";
import { borrow, isHung } from "../lender/lender.ts";
import type { LoanResult, Operation } from "../lender/loan.ts";
import { bytesOf, readOption } from "../net/foreign_listener.ts";
import { inNetns } from "../net/netns.ts";
import { throughShortLivedListener } from "../net/short_lived_listener.ts";
import { checkRet } from "../sys/check.ts";
import * as libc from "../sys/libc.ts";

const { EPERM, ENOENT } = constants.errno;
const ATTACH = {
  kind: "setsockopt_fd",
  level: libc.SOL_SOCKET,
  name: libc.SO_ATTACH_REUSEPORT_EBPF,
} as const;
const DETACH = {
  kind: "setsockopt",
  level: libc.SOL_SOCKET,
  name: libc.SO_DETACH_REUSEPORT_BPF,
} as const;
const LOCK_FILTER = readOption(libc.SOL_SOCKET, libc.SO_LOCK_FILTER, 4);

/**
 * Attaches a program in place of the attached one. Returns false if no owner lends a listener.
 * @throws FilterLockedError, PermissionError, StandbyError
 */
export function attachProgram(members: readonly Listener[], programFd: number): boolean {
  let locked: Listener | null = null;
  const done = through(members, [ATTACH, LOCK_FILTER], programFd, ([attached, lock], member) => {
    const error = attached?.error ?? 0;
    // The filters of another listener may not be locked.
    if (error === EPERM && isSet(lock)) locked = member;
    else checkRet("setsockopt", -error);
    return error === 0;
  });
  if (!done && locked) throw new FilterLockedError(lockedText(locked));
  return done;
}

/**
 * Detaches the attached program. Returns false if no owner lends a listener.
 * @throws as {@link attachProgram}
 */
export function detachProgram(members: readonly Listener[]): boolean {
  return through(members, [DETACH], null, ([{ error = 0 } = {}]) => {
    if (error !== ENOENT) checkRet("setsockopt", -error);
    return true;
  });
}

/**
 * Returns whether SO_LOCK_FILTER is set: then no process attaches through it, root included.
 * Undefined if no owner lends it.
 */
export function hasLockedFilter(listener: Listener): boolean | undefined {
  const results = borrow(listener, [LOCK_FILTER]);
  return results && isSet(results[0]);
}

const isSet = (option: LoanResult | undefined): boolean => bytesOf(option).readInt32LE() !== 0;

/**
 * Does operations on borrowed listeners until `isDone`; if all are MPTCP, or owned by processes that
 * hang, on a listener of our own.
 */
function through(
  members: readonly Listener[],
  operations: readonly Operation[],
  programFd: number | null,
  isDone: (results: readonly LoanResult[], member: Listener) => boolean,
): boolean {
  const plain = members.filter(isSelectable);
  for (const member of plain) {
    const results = borrow(member, operations, programFd);
    if (results && isDone(results, member)) return true;
  }
  const [first] = members;
  if (!first || !plain.every(isHung)) return false;
  throughShortLivedListener(first.key, first.uid, (fd) => setProgram(fd, programFd));
  return true;
}

/** Attaches a program through one of our listeners; null: detaches. */
function setProgram(fd: number, programFd: number | null): void {
  try {
    if (programFd === null) libc.setsockopt(fd, DETACH.level, DETACH.name, 0);
    else libc.setsockopt(fd, ATTACH.level, ATTACH.name, programFd);
  } catch (error) {
    if (programFd !== null || !hasCode(error, "ENOENT")) throw error;
  }
}

function lockedText({ key, owners: [owner] }: Listener): string {
  const process = owner ? `${owner.comm} (pid ${owner.pid})` : "a process";
  return `SO_LOCK_FILTER is set on the listener of ${process} on ${endpoint(key)}: it has locked its filters, so no program can be attached through it; start it without SO_LOCK_FILTER`;
}

/** @throws ForeignProgramError if a program that is not ours is attached to the group */
export function refuseForeign(
  members: readonly Listener[],
  isOurs: (member: Listener) => boolean = () => false,
): void {
  for (const member of members) {
    const { key, programId } = member;
    if (programId === null || isOurs(member)) continue;
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

/**
 * Refuses a group for every reason that is known before a program is loaded for it, as that takes
 * longer than all else.
 * @throws ForeignProgramError, AlreadyManagedError, FilterLockedError, HungError, PermissionError
 */
export function refuseBeforeLoading(
  members: readonly Listener[],
  { replace, migrate, hold }: Pick<Policy, "migrate" | "hold"> & { readonly replace: boolean },
): void {
  if (!replace) refuseForeign(members);
  const plain = members.filter(isSelectable);
  const other = plain.find(({ sockarray }) => sockarray);
  if (other) throw alreadyManaged(other);
  const [first] = members;
  if (!first) return;
  // These require a socket, or a file, of the group's network namespace.
  if (hold || migrate === "observe" || plain.length === 0) inNetns(first.key.netns, () => {});
  const [one] = plain;
  if (!one) return;
  let locked: Listener | undefined;
  for (const member of plain) {
    const isLocked = hasLockedFilter(member);
    if (isLocked === false) return; // a program can be attached through this one
    if (isLocked) locked ??= member;
  }
  if (locked) throw new FilterLockedError(lockedText(locked));
  if (plain.every(isHung)) throw hung(one);
}

function hung({ key, owners: [owner] }: Listener): HungError {
  return new HungError(
    `no listener of ${endpoint(key)} can be borrowed: calls on those of ${owner?.comm} (pid ${owner?.pid}) hang; end that process`,
  );
}

/** `unreachable`: no owner of a listener lends it. */
export type Attached = "attached" | "unchanged" | "unreachable";

/**
 * Attaches the program of a group that has grown where the one before still is: the sidecar was
 * killed in between, or the snapshot is older. Returns null if that is not attached.
 */
export function attachGrown(group: Group, members: readonly Listener[]): Attached | null {
  const isBefore = members.some(
    (member) => member.programId !== group.programId && group.isAttachedTo(member),
  );
  if (!isBefore) return null;
  return attachProgram(members, group.programFd) ? "unchanged" : "unreachable";
}

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
  const grown = attachGrown(group, members);
  if (grown !== null) return grown;
  if (!replace) refuseForeign(members);
  if (!attachProgram(members, group.programFd)) return "unreachable";
  const { record } = group;
  const attachments = record.attachments + 1;
  group.setRecord({ ...record, attachments, uid: members[0]?.uid ?? record.uid });
  return "attached";
}
