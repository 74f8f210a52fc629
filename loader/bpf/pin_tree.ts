/**
 * The pin tree: one directory for each group and each adopted cgroup, under
 * BPFFS/reuseport-migrate.
 * Locks are flock(2) on the directories, so the kernel drops them when their holder exits.
 */
import {
  closeSync,
  existsSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmdirSync,
  statfsSync,
  statSync,
  unlinkSync,
  utimesSync,
} from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { mountPoint } from "../core/mounts.ts";
import { hasCode, LockedError, NotSupportedError, UsageError } from "../errors.ts";
import * as libc from "../sys/libc.ts";

const BPF_FS_MAGIC = 0xcafe4a11; // uapi/linux/magic.h
const ROOT = "reuseport-migrate";
/** First word of a directory that is still being filled; bpffs allows no dots. */
const UNFINISHED = "new-";
/** First word of an adoption's directory; a group's name begins with a number. */
const ADOPTION = "adopt-";
/** Longest pause between two tries to take a lock, ms: a sidecar frees it for 1 ms at a time. */
const MAX_RETRY_MS = 8;

/** Returns the bpffs to use: `path`, or the first one mounted. */
export function findBpffs(path?: string): string {
  if (path !== undefined) {
    if (!existsSync(path)) throw new UsageError(`--bpffs ${path}: there is no such directory`);
    if (statfsSync(path).type !== BPF_FS_MAGIC) {
      throw new UsageError(
        `--bpffs ${path} is not on a bpf file system: mount one there with 'mount -t bpf bpf ${path}'`,
      );
    }
    return path;
  }
  const mount = mountPoint(readFileSync("/proc/mounts", "utf8"), "bpf");
  if (mount !== null) return mount;
  throw new NotSupportedError(
    "bpffs",
    "no bpf file system is mounted: run 'mount -t bpf bpf /sys/fs/bpf', or name one with --bpffs",
  );
}

/**
 * An exclusive lock on a directory, held until disposed or until the process exits. Never waits.
 */
export class Lock implements Disposable {
  #fd: number;

  /**
   * @param what names the directory in the error
   * @throws LockedError if the lock is held already
   */
  constructor(directory: string, what: string) {
    this.#fd = openSync(directory, "r");
    try {
      libc.flock(this.#fd);
    } catch (error) {
      const holder = lockHolder(directory);
      closeSync(this.#fd);
      if (!hasCode(error, "EAGAIN", "EWOULDBLOCK")) throw error;
      throw new LockedError(
        `${what} is managed by another reuseport-migrate${holder ? ` (pid ${holder})` : ""}: stop that one first`,
        { cause: error },
      );
    }
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
  const inode = statSync(directory).ino;
  for (const line of readFileSync("/proc/locks", "utf8").split("\n")) {
    const fields = line.trim().split(/\s+/);
    const [, type] = fields;
    const at = fields.findIndex((field) => /^[0-9a-f]+:[0-9a-f]+:\d+$/.test(field));
    if (type !== "FLOCK" || fields.includes("->") || at < 1) continue;
    if (fields[at]?.split(":")[2] === String(inode)) return Number(fields[at - 1]);
  }
  return null;
}

/** The directory of every group and adoption on one bpffs. */
export class PinTree {
  readonly root: string;

  constructor(bpffs: string) {
    this.root = join(bpffs, ROOT);
  }

  /** Returns the names of the pinned groups. */
  groups(): string[] {
    return this.#names((name) => !name.startsWith(UNFINISHED) && !name.startsWith(ADOPTION));
  }

  /** Returns the names of the pinned adoptions. */
  adoptions(): string[] {
    return this.#names((name) => name.startsWith(ADOPTION));
  }

  #names(matches: (name: string) => boolean): string[] {
    return existsSync(this.root) ? readdirSync(this.root).filter(matches).sort() : [];
  }

  directory(group: string): string {
    return join(this.root, group);
  }

  has(group: string): boolean {
    return existsSync(this.directory(group));
  }

  /**
   * Makes an empty directory, to be filled and then published.
   * @requires the pin tree's lock
   */
  makeUnfinished(group: string): string {
    const directory = join(this.root, UNFINISHED + group);
    mkdirSync(directory, { mode: 0o700 });
    return directory;
  }

  /**
   * Renames a filled directory to the name of its group or adoption.
   * @requires the pin tree's lock
   */
  publish(name: string): void {
    renameSync(join(this.root, UNFINISHED + name), this.directory(name));
  }

  /**
   * Reverses {@link publish}. If the caller is interrupted, the next holder of the lock removes the
   * directory.
   * @requires the pin tree's lock
   */
  retract(name: string): string {
    const directory = join(this.root, UNFINISHED + name);
    renameSync(this.directory(name), directory);
    return directory;
  }

  /** Removes a directory of {@link makeUnfinished} that was not published. */
  removeUnfinished(group: string): void {
    removeDirectory(join(this.root, UNFINISHED + group));
  }

  /**
   * Takes the lock on everything pinned here. Removes what an interrupted command left unfinished:
   * only the lock's holder can be making a directory.
   * @param timeoutMs how long to wait for another process that holds the lock
   * @throws LockedError after `timeoutMs`
   */
  async lock(timeoutMs = 5_000): Promise<Lock> {
    mkdirSync(this.root, { recursive: true, mode: 0o700 });
    const untilMs = performance.now() + timeoutMs;
    for (let delayMs = 1; ; delayMs = Math.min(2 * delayMs, MAX_RETRY_MS)) {
      try {
        return this.#lockAndClear();
      } catch (error) {
        const isRemoved = (error as NodeJS.ErrnoException).code === "ENOENT";
        if (isRemoved) mkdirSync(this.root, { recursive: true, mode: 0o700 });
        else if (!(error instanceof LockedError) || performance.now() >= untilMs) throw error;
        await sleep(delayMs);
      }
    }
  }

  #lockAndClear(): Lock {
    const lock = new Lock(this.root, this.root);
    try {
      for (const name of readdirSync(this.root)) {
        if (name.startsWith(UNFINISHED)) removeDirectory(join(this.root, name));
      }
      return lock;
    } catch (error) {
      lock[Symbol.dispose](); // the directory was removed after it was opened
      throw error;
    }
  }

  /**
   * A number that changes when a group is added or removed, or marked ({@link mark}). A process
   * that reads it under the lock can later tell whether another process made a change.
   */
  get changes(): bigint {
    return statSync(this.root, { bigint: true, throwIfNoEntry: false })?.mtimeNs ?? 0n;
  }

  /**
   * Tells sidecars that the pins of a group were changed.
   * @requires the pin tree's lock
   */
  mark(): void {
    const now = (performance.timeOrigin + performance.now()) / 1000;
    utimesSync(this.root, now, now);
  }

  /** Removes a group's pins; the kernel frees each object without another reference. */
  remove(group: string): void {
    removeDirectory(this.directory(group));
  }

  /** Removes the root directory if it is empty. */
  tidy(): void {
    try {
      rmdirSync(this.root);
    } catch (error) {
      const code = (error as NodeJS.ErrnoException).code;
      if (code !== "ENOENT" && code !== "ENOTEMPTY" && code !== "EPERM") throw error;
    }
  }
}

function removeDirectory(directory: string): void {
  if (!existsSync(directory)) return;
  for (const name of readdirSync(directory)) unlinkSync(join(directory, name));
  rmdirSync(directory);
}
