/**
 * Pinned state: one directory a group, and one an adopted cgroup, under
 * BPFFS/reuseport-migrate. Locks are flock(2) on the directories, so that the kernel drops them with their holder.
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
import { mountPoint } from "../core/mounts.ts";
import { hasCode, LockedError, NotSupportedError, UsageError } from "../errors.ts";
import * as libc from "../sys/libc.ts";

const BPF_FS_MAGIC = 0xcafe4a11; // uapi/linux/magic.h
const ROOT = "reuseport-migrate";
/** First word of a directory that is still being filled; bpffs allows no dots. */
const UNFINISHED = "new-";
/** First word of an adoption's directory; a group's name begins with a number. */
const ADOPTION = "adopt-";

/** The bpffs to use: `path`, or the first one mounted. */
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

/** An exclusive lock on a directory; dropped on dispose, or with the process. */
export class Lock implements Disposable {
  #fd: number;

  /** @throws LockedError when another process has it. */
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

/** Pid of the process that holds a lock on `directory`, from /proc/locks; null: nobody. */
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

/** The directory of all groups and adoptions on one bpffs. */
export class PinTree {
  readonly root: string;

  constructor(bpffs: string) {
    this.root = join(bpffs, ROOT);
  }

  /** Names of the groups that are pinned. */
  groups(): string[] {
    return this.#names((name) => !name.startsWith(UNFINISHED) && !name.startsWith(ADOPTION));
  }

  /** Names of the adoptions that are pinned. */
  adoptions(): string[] {
    return this.#names((name) => name.startsWith(ADOPTION));
  }

  #names(wanted: (name: string) => boolean): string[] {
    return existsSync(this.root) ? readdirSync(this.root).filter(wanted).sort() : [];
  }

  directory(group: string): string {
    return join(this.root, group);
  }

  has(group: string): boolean {
    return existsSync(this.directory(group));
  }

  /** An empty directory to fill and then rename to the group's own. Wants the lock. */
  makeUnfinished(group: string): string {
    const directory = join(this.root, UNFINISHED + group);
    mkdirSync(directory, { mode: 0o700 });
    return directory;
  }

  /** Makes what was filled a group's or adoption's own, in one step. Wants the lock. */
  publish(name: string): void {
    renameSync(join(this.root, UNFINISHED + name), this.directory(name));
  }

  /** The reverse of {@link publish}: the directory is nobody's, and removed whatever happens. Wants the lock. */
  retract(name: string): string {
    const directory = join(this.root, UNFINISHED + name);
    renameSync(this.directory(name), directory);
    return directory;
  }

  /** Removes what {@link makeUnfinished} made and nobody finished. */
  removeUnfinished(group: string): void {
    removeDirectory(join(this.root, UNFINISHED + group));
  }

  /**
   * The lock of commands that change state, held for milliseconds; waits up to `patienceMs` for it.
   * Clears what a command that was killed left half-made: only its holder may be making one.
   */
  lock(patienceMs = 5_000): Lock {
    mkdirSync(this.root, { recursive: true, mode: 0o700 });
    const until = Date.now() + patienceMs;
    for (;;) {
      try {
        return this.#lockAndClear();
      } catch (error) {
        const vanished = (error as NodeJS.ErrnoException).code === "ENOENT";
        if (vanished) mkdirSync(this.root, { recursive: true, mode: 0o700 });
        else if (!(error instanceof LockedError) || Date.now() >= until) throw error;
        Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 5);
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
      lock[Symbol.dispose](); // of a directory that was removed meanwhile
      throw error;
    }
  }

  /**
   * Another one when groups came or went, or a command changed one ({@link mark}); whoever has the
   * lock and reads it last knows that nothing changed behind it.
   */
  get changes(): bigint {
    return statSync(this.root, { bigint: true, throwIfNoEntry: false })?.mtimeNs ?? 0n;
  }

  /** Tells sidecars that what is pinned of a group was changed. Wants the lock. */
  mark(): void {
    const now = (performance.timeOrigin + performance.now()) / 1000;
    utimesSync(this.root, now, now);
  }

  /** Removes a group's pins; the kernel frees what nothing else holds. */
  remove(group: string): void {
    removeDirectory(this.directory(group));
  }

  /** Removes the directory of all when there are none. */
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
