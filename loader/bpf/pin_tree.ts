/**
 * The pin tree: one directory for each group and each adopted cgroup, under
 * BPFFS/reuseport-migrate.
 * No path below it is used before openOwnDirectory() has checked that directory.
 */
import {
  closeSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmdirSync,
  statfsSync,
  unlinkSync,
  utimesSync,
} from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { mountPoint } from "../core/mounts.ts";
import { AbsentError, ConflictError, hasCode, LockedError, NotSupportedError } from "../errors.ts";
import { Owned } from "../owned.ts";
import { exchange } from "../sys/libc.ts";
import { Lock } from "./directory_lock.ts";
import { BPF_FS_MAGIC, openOwnDirectory } from "./own_directory.ts";
import { runningSidecars } from "./sidecar_marks.ts";

const ROOT = "reuseport-migrate";
/** First word of a directory that is still being filled; bpffs allows no dots. */
const UNFINISHED = "new-";
/** First word of an adoption's directory; a group's name begins with a number. */
const ADOPTION = "adopt-";
/** First word of a directory whose group has grown, between two steps of that. */
const REPLACED = "old-";
const EVENTS = "events";
/** Longest pause between two tries to take a lock, ms: a sidecar frees it for 1 ms at a time. */
const MAX_RETRY_MS = 8;

/** Returns the bpffs to use: `path`, or the first one mounted. */
export function findBpffs(path?: string): string {
  if (path !== undefined) {
    if (!existsSync(path)) throw new AbsentError(`--bpffs ${path}: there is no such directory`);
    if (statfsSync(path).type !== BPF_FS_MAGIC) {
      throw new AbsentError(
        `--bpffs ${path} is not on a bpf file system: mount one there with 'mount -t bpf -o mode=0700 bpf ${path}'`,
      );
    }
    return path;
  }
  const mount = mountPoint(readFileSync("/proc/mounts", "utf8"), "bpf");
  if (mount !== null) return mount;
  throw new NotSupportedError(
    "bpffs",
    "no bpf file system is mounted: run 'mount -t bpf -o mode=0700 bpf /sys/fs/bpf', or name one with --bpffs",
  );
}

/** The directory of every group and adoption on one bpffs. */
export class PinTree {
  readonly root: string;
  /** The pin of the sidecars' events. */
  readonly events: string;

  constructor(bpffs: string) {
    this.root = join(bpffs, ROOT);
    this.events = join(this.root, EVENTS);
  }

  /** Returns the names of the pinned groups. */
  groups(): string[] {
    return this.#names((name) => /^\d/.test(name));
  }

  /** Returns the names of the pinned adoptions. */
  adoptions(): string[] {
    return this.#names((name) => name.startsWith(ADOPTION));
  }

  #names(matches: (name: string) => boolean): string[] {
    return this.exists ? readdirSync(this.root).filter(matches).sort() : [];
  }

  /**
   * Whether anything was pinned here.
   * @throws ConflictError if its directory is not ours
   */
  get exists(): boolean {
    try {
      closeSync(openOwnDirectory(this.root));
      return true;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === "ENOENT") return false;
      throw error;
    }
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

  /**
   * Puts a filled directory in the place of the published one, which is then the unfinished one.
   * @requires the pin tree's lock
   */
  exchange(name: string): void {
    const paths = [join(this.root, UNFINISHED + name), this.directory(name)] as const;
    try {
      exchange(...paths);
    } catch (error) {
      if (!hasCode(error, "EINVAL")) throw error; // bpffs before Linux 5.16
      exchangeInSteps(...paths, join(this.root, REPLACED + name));
    }
  }

  /** Removes a directory of {@link makeUnfinished} that was not published. */
  removeUnfinished(group: string): void {
    removeDirectory(join(this.root, UNFINISHED + group));
  }

  /**
   * Takes the lock on everything pinned here. Removes what an interrupted command left unfinished:
   * only the lock's holder can be making a directory.
   * @param timeoutMs how long to wait for another process that holds the lock
   * @throws LockedError after `timeoutMs`, ConflictError if its directory is not ours
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
    using own = new Owned();
    const lock = own.use(new Lock(this.root, this.root, openOwnDirectory));
    // Fails if the directory was removed after it was opened.
    for (const name of readdirSync(this.root)) {
      if (name.startsWith(REPLACED)) this.#putBack(name.slice(REPLACED.length));
      if (name.startsWith(UNFINISHED)) removeDirectory(join(this.root, name));
    }
    return own.release(lock);
  }

  /** Ends an interrupted {@link exchangeInSteps}: the group has what has its name, or had it. */
  #putBack(group: string): void {
    const replaced = join(this.root, REPLACED + group);
    if (this.has(group)) removeDirectory(replaced);
    else renameSync(replaced, this.directory(group));
  }

  /**
   * A number that changes when a group is added or removed, or marked ({@link mark}). A process
   * that reads it under the lock can later tell whether another process made a change.
   */
  get changes(): bigint {
    return lstatSync(this.root, { bigint: true, throwIfNoEntry: false })?.mtimeNs ?? 0n;
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

  /** Removes the root directory if it has nothing but events, and no sidecar runs. */
  tidy(): void {
    try {
      if (!this.exists) return;
      const names = readdirSync(this.root);
      const isOver = names.join() === EVENTS && runningSidecars(this).length === 0;
      if (isOver) unlinkSync(this.events);
      rmdirSync(this.root);
    } catch (error) {
      if (error instanceof ConflictError) return; // it is not ours
      const code = (error as NodeJS.ErrnoException).code;
      if (code !== "ENOENT" && code !== "ENOTEMPTY" && code !== "EPERM") throw error;
    }
  }
}

/** Exchanges two directories. @param aside a free path */
export function exchangeInSteps(path: string, other: string, aside: string): void {
  renameSync(other, aside);
  renameSync(path, other);
  renameSync(aside, path);
}

/** Removes a directory of pins, or what lies in its place. Follows no link. */
function removeDirectory(directory: string): void {
  const found = lstatSync(directory, { throwIfNoEntry: false });
  if (!found) return;
  if (!found.isDirectory()) {
    unlinkSync(directory);
    return;
  }
  for (const name of readdirSync(directory)) removeDirectory(join(directory, name));
  rmdirSync(directory);
}
