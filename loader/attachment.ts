/** Attaching a program to a kernel group, through any listener of it. */
import { SELECT_PROGRAM } from "./abi.ts";
import { borrow } from "./borrow.ts";
import { ForeignProgramError, hasCode } from "./errors.ts";
import { endpoint, type Listener } from "./listener.ts";
import { programName } from "./program.ts";
import * as libc from "./sys/libc.ts";

/** Attaches; it replaces what was attached. False when no owner could be borrowed from. */
export function attachProgram(members: readonly Listener[], programFd: number): boolean {
  return members.some((member) =>
    borrow(member, (fd) => {
      libc.setsockopt(fd, libc.SOL_SOCKET, libc.SO_ATTACH_REUSEPORT_EBPF, programFd);
      return true;
    }),
  );
}

/** Detaches what is attached. False when no owner could be borrowed from. */
export function detachProgram(members: readonly Listener[]): boolean {
  return members.some((member) =>
    borrow(member, (fd) => {
      try {
        libc.setsockopt(fd, libc.SOL_SOCKET, libc.SO_DETACH_REUSEPORT_BPF, 0);
      } catch (error) {
        if (!hasCode(error, "ENOENT")) throw error;
      }
      return true;
    }),
  );
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
