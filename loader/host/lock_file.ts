/**
 * A lock that only its user can take: a file that no other user can open. A lock on a directory
 * could be taken by every user that may read it.
 */
import { closeSync, constants, fstatSync, lstatSync, openSync, unlinkSync } from "node:fs";
import { Owned } from "../owned.ts";
import * as libc from "../sys/libc.ts";

const FLAGS = constants.O_RDWR | constants.O_CREAT | constants.O_NOFOLLOW;

/** Held until disposed, or until the process exits. */
export class LockFile implements Disposable {
  readonly #path: string;
  #fd: number;

  private constructor(path: string, fd: number) {
    this.#path = path;
    this.#fd = fd;
  }

  /**
   * Takes the lock; makes the file if there is none.
   * @requires a directory that no other user may write to
   * @throws SysError EWOULDBLOCK (EAGAIN) if another process holds it; Node's errors of open(2)
   */
  static take(path: string): LockFile {
    for (;;) {
      using own = new Owned();
      const fd = own.fd(openSync(path, FLAGS, 0o600));
      libc.flock(fd);
      // The holder before may have removed it between the two calls.
      const found = lstatSync(path, { throwIfNoEntry: false });
      if (found?.ino === fstatSync(fd).ino) return own.release(new LockFile(path, fd));
    }
  }

  /** Removes the file while it is locked, then unlocks it. */
  [Symbol.dispose](): void {
    if (this.#fd < 0) return;
    try {
      unlinkSync(this.#path);
    } catch {
      // already removed, or no longer permitted
    }
    closeSync(this.#fd);
    this.#fd = -1;
  }
}
