/**
 * The standby: the sidecar's own listener in a group. It keeps the group alive after the last
 * listener has left. Its connections wait in the accept queue; no process accepts them.
 */
import { endpoint, type GroupKey, type Listener } from "../core/listener.ts";
import type { HoldPolicy } from "../core/slot.ts";
import { hasCode, StandbyError } from "../errors.ts";
import { drop, keep } from "../keeper/keeper.ts";
import { takeBack } from "../lender/lender.ts";
import { Owned } from "../owned.ts";
import * as libc from "../sys/libc.ts";
import { onReadable } from "../sys/readable.ts";
import { acceptQueue } from "./accept_queue.ts";
import { listenIn } from "./listen.ts";
import { copySocketOptions, guardsIn, type SocketOptions } from "./socket_options.ts";

/** Owns a listening socket. Closing it migrates its queue to the group's targets, or resets it. */
export class StandbySocket implements Disposable {
  readonly cookie: bigint;
  /** Upper bound on the connections it holds: the requested one, or net.core.somaxconn if lower. */
  backlog: number;
  readonly #key: GroupKey;
  #fd: number;
  #stopWatching: () => void = () => {};
  #differs: readonly string[];

  /** Takes ownership of `fd`. */
  private constructor(key: GroupKey, fd: number, patienceMs: number, differs: readonly string[]) {
    using own = new Owned();
    this.#key = key;
    this.#fd = own.fd(fd);
    this.#differs = differs;
    this.cookie = libc.getsockopt(fd, libc.SOL_SOCKET, libc.SO_COOKIE, 8).readBigUInt64LE();
    this.backlog = acceptQueue(fd).limit;
    keep(this.cookie, fd, patienceMs);
    own.release(this);
  }

  /**
   * Takes over the standby of a sidecar that is gone, from its keeper. Returns null if the keeper
   * has ended.
   */
  static takeOver(listener: Listener, patienceMs: number): StandbySocket | null {
    const fd = takeBack(listener);
    return fd === null ? null : new StandbySocket(listener.key, fd, patienceMs, []);
  }

  /**
   * Listens in the group of `key` and `uid`.
   * @requires a program of the group that selects explicitly, or the kernel's hash gives the
   *   standby a share of new connections at once
   * @throws PermissionError, StandbyError
   */
  static open(
    key: GroupKey,
    uid: number,
    options: SocketOptions,
    { max, timeMs }: HoldPolicy,
  ): StandbySocket {
    let differs: readonly string[] = [];
    const fd = listenIn(key, uid, "a standby", max, (it) => {
      differs = copySocketOptions(it, key.family, options);
    });
    using own = new Owned();
    own.fd(fd);
    refuseGuards(key, differs, options);
    return new StandbySocket(key, own.release(fd), timeMs, differs);
  }

  /** Names of the socket options in which it differs from the group's listeners. */
  get differs(): readonly string[] {
    return this.#differs;
  }

  /** Takes the socket options that its listeners have now. */
  copyOptions(options: SocketOptions): void {
    this.#differs = copySocketOptions(this.#fd, this.#key.family, options);
  }

  /** Changes the upper bound on connections: a second listen(2) sets only that. */
  resize(backlog: number): void {
    libc.listen(this.#fd, backlog);
    this.backlog = acceptQueue(this.#fd).limit;
  }

  /** Its accept queue; null: a command has shut it down. */
  get queueLength(): number | null {
    const { listens, length } = acceptQueue(this.#fd);
    return listens ? length : null;
  }

  /** Lends its file descriptor to `use`, to put it into a map. */
  place(use: (fd: number) => void): void {
    use(this.#fd);
  }

  /** Calls `arrived` once, when a connection is in the accept queue. */
  watch(arrived: () => void): void {
    this.#stopWatching();
    const stop = onReadable(this.#fd, () => {
      this.#stopWatching();
      arrived();
    });
    this.#stopWatching = () => {
      this.#stopWatching = () => {};
      stop();
    };
  }

  /** Leaves it, and what it holds, to the keeper, from which a successor takes it over. */
  leave(): void {
    this.#close();
  }

  [Symbol.dispose](): void {
    if (this.#fd < 0) return;
    try {
      drop(this.cookie);
      // Its queue migrates now, even if the keeper of a sidecar before has a descriptor, too.
      libc.shutdown(this.#fd, libc.SHUT_RDWR);
    } catch (error) {
      if (!hasCode(error, "ENOTCONN")) throw error; // a command has shut it down before
    } finally {
      this.#close();
    }
  }

  #close(): void {
    if (this.#fd < 0) return;
    this.#stopWatching();
    libc.close(this.#fd);
    this.#fd = -1;
  }
}

/** @throws StandbyError if an option that decides which peers are admitted could not be copied */
function refuseGuards(key: GroupKey, differs: readonly string[], options: SocketOptions): void {
  const missing = guardsIn(options).filter((name) => differs.includes(name));
  if (missing.length === 0) return;
  throw new StandbyError(
    `${endpoint(key)} cannot be held: ${missing.join(", ")} cannot be copied to a standby; attach without --hold`,
  );
}
