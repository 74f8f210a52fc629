/** The store's socket in the file system. A stale path of a killed store is replaced. */
import { chmodSync, lstatSync, type Stats, statSync, unlinkSync } from "node:fs";
import { dirname } from "node:path";
import { AbsentError, ConflictError, hasCode, PermissionError, UsageError } from "../errors.ts";
import { LockFile } from "../host/lock_file.ts";
import { Owned } from "../owned.ts";
import * as libc from "../sys/libc.ts";
import { SOCK_SEQPACKET } from "../sys/unix_socket.ts";

const BACKLOG = 4096; // net.core.somaxconn bounds it
/** Permission of the group or of others to write. */
const OTHERS_WRITE = 0o022;

/** @throws UsageError */
export function requirePath(path: string): string {
  const length = Buffer.byteLength(path);
  if (length === 0 || path.includes("\0") || path.startsWith("@")) {
    throw new UsageError(`'${path}' is not a path for a socket`);
  }
  if (length >= libc.SUN_PATH_SIZE) {
    throw new UsageError(
      `the path of a socket has at most ${libc.SUN_PATH_SIZE - 1} bytes, not ${length}: '${path}'`,
    );
  }
  return path;
}

/** Owns a listening socket, its path and its lock. */
export class StorePath implements Disposable {
  readonly path: string;
  readonly #inode: number;
  readonly #lock: LockFile;
  #fd: number;

  private constructor(path: string, fd: number, lock: LockFile) {
    this.path = path;
    this.#fd = fd;
    this.#lock = lock;
    this.#inode = lstatSync(path).ino;
  }

  /**
   * Listens at `path`. Replaces a socket there if no process listens on it any longer.
   * @throws UsageError, PermissionError, ConflictError
   */
  static listen(path: string, mode: number): StorePath {
    requirePath(path);
    requireOwnDirectory(path);
    using own = new Owned();
    const lock = own.use(takeLock(path));
    const fd = own.fd(openSocket());
    removeStale(path);
    bind(fd, path, mode);
    libc.listen(fd, BACKLOG);
    return own.release(new StorePath(path, fd, lock));
  }

  get fd(): number {
    return this.#fd;
  }

  /** Closes the socket and removes its path, unless another process has replaced it. */
  [Symbol.dispose](): void {
    if (this.#fd < 0) return;
    libc.close(this.#fd);
    this.#fd = -1;
    try {
      if (lstatSync(this.path).ino === this.#inode) unlinkSync(this.path);
    } catch {
      // already removed, or no longer permitted
    }
    this.#lock[Symbol.dispose]();
  }
}

function openSocket(): number {
  const type = SOCK_SEQPACKET | libc.SOCK_NONBLOCK | libc.SOCK_CLOEXEC;
  return libc.socket(libc.AF_UNIX, type, 0);
}

/** Returns whether only this user, and root, may write to a directory. */
export function isDirectoryOf(uid: number | undefined, directory: string): boolean {
  const found = statSync(directory, { throwIfNoEntry: false });
  return found !== undefined && isOwnedBy(uid, found);
}

function isOwnedBy(uid: number | undefined, found: Stats): boolean {
  return (found.uid === 0 || found.uid === uid) && (found.mode & OTHERS_WRITE) === 0;
}

/** @throws AbsentError if another user could replace the socket, or what lies beside it */
function requireOwnDirectory(path: string): void {
  const directory = dirname(path);
  const found = statSync(directory, { throwIfNoEntry: false });
  if (!found) throw socketError(path, { code: "ENOENT" });
  if (isOwnedBy(process.geteuid?.(), found)) return;
  throw new AbsentError(
    `the socket ${path} cannot be created: other users may write to ${directory}; choose a directory that only you may write to, such as /run/reuseport-migrate or $XDG_RUNTIME_DIR`,
  );
}

function takeLock(path: string): LockFile {
  try {
    return LockFile.take(`${path}.lock`);
  } catch (error) {
    if (!hasCode(error, "EAGAIN", "EWOULDBLOCK")) throw socketError(path, error);
    throw new ConflictError(
      `another store already listens on ${path}: stop it, or choose another path`,
    );
  }
}

function removeStale(path: string): void {
  const found = lstatSync(path, { throwIfNoEntry: false });
  if (!found) return;
  if (!found.isSocket()) {
    throw new ConflictError(`${path} exists and is not a socket: choose another path`);
  }
  using own = new Owned();
  try {
    libc.connect(own.fd(openSocket()), libc.sockaddrUnix(path));
  } catch (error) {
    if (hasCode(error, "ECONNREFUSED")) {
      remove(path);
      return;
    }
    // EAGAIN: its backlog is full. EPROTOTYPE: another type of socket.
    if (!hasCode(error, "EAGAIN", "EWOULDBLOCK", "EPROTOTYPE")) throw socketError(path, error);
  }
  throw new ConflictError(
    `another store or server already listens on ${path}: stop it, or choose another path`,
  );
}

function remove(path: string): void {
  try {
    unlinkSync(path);
  } catch (error) {
    throw socketError(path, error);
  }
}

/** Binds with no permissions, then sets `mode`: no process may connect too early. */
function bind(fd: number, path: string, mode: number): void {
  const before = process.umask(0o777);
  try {
    libc.bind(fd, libc.sockaddrUnix(path));
    chmodSync(path, mode);
  } catch (error) {
    throw socketError(path, error);
  } finally {
    process.umask(before);
  }
}

function socketError(path: string, error: unknown): Error {
  const { code } = error as NodeJS.ErrnoException;
  const options = { cause: error };
  if (code === "EACCES" || code === "EPERM" || code === "EROFS") {
    return new PermissionError(
      "CAP_DAC_OVERRIDE",
      `the socket ${path} cannot be created: not permitted (${code}); choose another path`,
      options,
    );
  }
  if (code === "ENOENT" || code === "ENOTDIR") {
    return new AbsentError(
      `the socket ${path} cannot be created: its directory does not exist; create it first`,
      options,
    );
  }
  return new ConflictError(
    `the socket ${path} cannot be created: ${(error as Error).message}`,
    options,
  );
}
