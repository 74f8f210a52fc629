/**
 * Locks on directories: flock(2), which the kernel drops when the holder exits. Another user cannot
 * take one, because no other user can open a directory of the pin tree.
 */
import { closeSync, lstatSync, readFileSync } from "node:fs";
import { hasCode, LockedError } from "../errors.ts";
import { Owned } from "../owned.ts";
import * as libc from "../sys/libc.ts";
import { openDirectory } from "./own_directory.ts";

/**
 * An exclusive lock on a directory, held until disposed or until the process exits. Never waits.
 */
export class Lock implements Disposable {
  #fd: number;

  /**
   * @param what names the directory in the error
   * @param open opens it
   * @throws LockedError if the lock is held already
   */
  constructor(directory: string, what: string, open: (path: string) => number = openDirectory) {
    using own = new Owned();
    this.#fd = own.fd(open(directory));
    try {
      libc.flock(this.#fd);
    } catch (error) {
      if (!hasCode(error, "EAGAIN", "EWOULDBLOCK")) throw error;
      const holder = lockHolder(directory);
      throw new LockedError(
        `${what} is managed by another reuseport-migrate${holder ? ` (pid ${holder})` : ""}: stop that one first`,
        { cause: error },
      );
    }
    own.release(this);
  }

  [Symbol.dispose](): void {
    if (this.#fd < 0) return;
    closeSync(this.#fd);
    this.#fd = -1;
  }
}

/**
 * Returns the pid that holds the lock on `directory` (by /proc/locks); null if it is not locked.
 */
export function lockHolder(directory: string): number | null {
  const { dev, ino } = lstatSync(directory);
  return holderOf(readFileSync("/proc/locks", "utf8"), dev, ino);
}

/**
 * Returns the pid that holds a flock(2) on a file, by the text of /proc/locks (proc_locks(5)); null
 * if none does.
 * @param dev device number as of stat(2)
 */
export function holderOf(locks: string, dev: number, inode: number): number | null {
  return holdersOf(locks, dev, inode)[0] ?? null;
}

/** Returns the pids of all holders, for locks that are shared. As {@link holderOf}. */
export function holdersOf(locks: string, dev: number, inode: number): number[] {
  return locks.split("\n").flatMap((line) => {
    const fields = line.trim().split(/\s+/);
    const at = fields.findIndex((field) => /^[0-9a-f]+:[0-9a-f]+:\d+$/.test(field));
    if (fields[1] !== "FLOCK" || fields.includes("->") || at < 1) return [];
    const [major = "", minor = "", number] = (fields[at] ?? "").split(":");
    const device = deviceNumber(Number.parseInt(major, 16), Number.parseInt(minor, 16));
    return device === dev && number === String(inode) ? [Number(fields[at - 1])] : [];
  });
}

/** Returns a device number as stat(2) does (gnu_dev_makedev() of sys/sysmacros.h, 32 bits of it). */
function deviceNumber(major: number, minor: number): number {
  return (major & 0xfff) * 0x100 + (minor & 0xff) + Math.floor(minor / 0x100) * 0x100000;
}
