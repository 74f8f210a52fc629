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
   * Listens on a path. Replaces a socket on which no process listens any longer.
   * @throws UsageError, PermissionError, ConflictError
   */
  static listen(path: string, mode: number): StorePath {
    requirePath(path);
    const directory = openDirectory(path);
    try {
      lock(directory, path); // so that of two that find a stale path, one is the first
      const fd = libc.socket(
        libc.AF_UNIX,
        SOCK_SEQPACKET | libc.SOCK_NONBLOCK | libc.SOCK_CLOEXEC,
        0,
      );
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

  /** Removes the path, unless it is another's by now. */
  [Symbol.dispose](): void {
    if (this.#fd < 0) return;
    libc.close(this.#fd);
    this.#fd = -1;
    try {
      if (lstatSync(this.path).ino === this.#inode) unlinkSync(this.path);
    } catch {
      // gone already, or not ours to remove any more
    }
  }
}

function openDirectory(path: string): number {
  try {
    return openSync(dirname(path), "r");
  } catch (error) {
    throw refusal(path, error);
  }
}

function lock(directory: number, path: string): void {
  try {
    libc.flock(directory);
  } catch (error) {
    if (!hasCode(error, "EAGAIN", "EWOULDBLOCK")) throw error;
    throw new ConflictError(`another process has locked the directory of ${path}: try again`);
  }
}

function removeStale(path: string): void {
  const found = statSync(path, { throwIfNoEntry: false });
  if (!found) return;
  if (!found.isSocket()) throw new ConflictError(`${path} is there and is not a socket`);
  const probe = libc.socket(
    libc.AF_UNIX,
    SOCK_SEQPACKET | libc.SOCK_NONBLOCK | libc.SOCK_CLOEXEC,
    0,
  );
  try {
    libc.connect(probe, libc.sockaddrUnix(path));
  } catch (error) {
    if (hasCode(error, "ECONNREFUSED")) {
      unlinkOrRefuse(path);
      return;
    }
    // EAGAIN: its queue is full. EPROTOTYPE: another kind of server.
    if (!hasCode(error, "EAGAIN", "EWOULDBLOCK", "EPROTOTYPE")) throw refusal(path, error);
  } finally {
    libc.close(probe);
  }
  throw new ConflictError(
    `a process listens on ${path} already: another store, or another server; choose another path`,
  );
}

function unlinkOrRefuse(path: string): void {
  try {
    unlinkSync(path);
  } catch (error) {
    throw refusal(path, error);
  }
}

/** Binds without permissions for others, so that none can connect before chmod. */
function bind(fd: number, path: string, mode: number): void {
  const before = process.umask(0o777);
  try {
    libc.bind(fd, libc.sockaddrUnix(path));
    chmodSync(path, mode);
  } catch (error) {
    throw refusal(path, error);
  } finally {
    process.umask(before);
  }
}

function refusal(path: string, error: unknown): Error {
  const { code } = error as NodeJS.ErrnoException;
  const options = { cause: error };
  if (code === "EACCES" || code === "EPERM" || code === "EROFS") {
    return new PermissionError(
      "CAP_DAC_OVERRIDE",
      `a socket at ${path} is not permitted to this user (${code}): choose another path`,
      options,
    );
  }
  if (code === "ENOENT" || code === "ENOTDIR") {
    return new UsageError(`a socket at ${path}: there is no such directory`, options);
  }
  return new ConflictError(
    `a socket at ${path} cannot be made: ${(error as Error).message}`,
    options,
  );
}
