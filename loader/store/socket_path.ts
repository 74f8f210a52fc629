/** The store's socket in the file system. A stale path of a killed store is replaced. */
import { chmodSync, closeSync, lstatSync, openSync, statSync, unlinkSync } from "node:fs";
import { dirname } from "node:path";
import { ConflictError, hasCode, PermissionError, UsageError } from "../errors.ts";
import * as libc from "../sys/libc.ts";
import { SOCK_SEQPACKET } from "../sys/unix_socket.ts";

const BACKLOG = 4096; // net.core.somaxconn bounds it

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

/** Owns a listening socket and its path. */
export class StorePath implements Disposable {
  readonly path: string;
  readonly #inode: number;
  #fd: number;

  private constructor(path: string, fd: number) {
    this.path = path;
    this.#fd = fd;
    this.#inode = lstatSync(path).ino;
  }

  /**
   * Listens at `path`. Replaces a socket there if no process listens on it any longer.
   * @throws UsageError, PermissionError, ConflictError
   */
  static listen(path: string, mode: number): StorePath {
    requirePath(path);
    const directory = openDirectory(path);
    try {
      lock(directory, path); // two stores may find the same stale path
      const fd = openSocket();
      try {
        removeStale(path);
        bind(fd, path, mode);
        libc.listen(fd, BACKLOG);
        return new StorePath(path, fd);
      } catch (error) {
        libc.close(fd);
        throw error;
      }
    } finally {
      closeSync(directory);
    }
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
  }
}

function openSocket(): number {
  const type = SOCK_SEQPACKET | libc.SOCK_NONBLOCK | libc.SOCK_CLOEXEC;
  return libc.socket(libc.AF_UNIX, type, 0);
}

function openDirectory(path: string): number {
  try {
    return openSync(dirname(path), "r");
  } catch (error) {
    throw socketError(path, error);
  }
}

function lock(directory: number, path: string): void {
  try {
    libc.flock(directory);
  } catch (error) {
    if (!hasCode(error, "EAGAIN", "EWOULDBLOCK")) throw error;
    throw new ConflictError(`the directory of ${path} is locked by another process: try again`);
  }
}

function removeStale(path: string): void {
  const found = statSync(path, { throwIfNoEntry: false });
  if (!found) return;
  if (!found.isSocket()) {
    throw new ConflictError(`${path} exists and is not a socket: choose another path`);
  }
  const probe = openSocket();
  try {
    libc.connect(probe, libc.sockaddrUnix(path));
  } catch (error) {
    if (hasCode(error, "ECONNREFUSED")) {
      remove(path);
      return;
    }
    // EAGAIN: its backlog is full. EPROTOTYPE: another type of socket.
    if (!hasCode(error, "EAGAIN", "EWOULDBLOCK", "EPROTOTYPE")) throw socketError(path, error);
  } finally {
    libc.close(probe);
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
    return new UsageError(
      `the socket ${path} cannot be created: its directory does not exist; create it first`,
      options,
    );
  }
  return new ConflictError(
    `the socket ${path} cannot be created: ${(error as Error).message}`,
    options,
  );
}
