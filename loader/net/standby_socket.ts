/**
 * The standby: the sidecar's own listener in a group. It keeps the group alive after the last
 * listener has left. Its connections wait in the accept queue; no process accepts them.
 */
import type { GroupKey } from "../core/listener.ts";
import * as libc from "../sys/libc.ts";
import { onReadable } from "../sys/readable.ts";
import { acceptQueue } from "./accept_queue.ts";
import { listenIn } from "./listen.ts";
import { copySocketOptions, type SocketOptions } from "./socket_options.ts";

/** Owns a listening socket. Closing it migrates its queue to the group's targets, or resets it. */
export class StandbySocket implements Disposable {
  readonly cookie: bigint;
  /** Upper bound on the connections it holds: the requested one, or net.core.somaxconn if lower. */
  backlog: number;
  readonly #key: GroupKey;
  #fd: number;
  #stopWatching: () => void = () => {};
  #differs: readonly string[] = [];

  private constructor(key: GroupKey, fd: number) {
    this.#key = key;
    this.#fd = fd;
    this.cookie = libc.getsockopt(fd, libc.SOL_SOCKET, libc.SO_COOKIE, 8).readBigUInt64LE();
    this.backlog = acceptQueue(fd).limit;
  }

  /**
   * Listens in the group of `key` and `uid`.
   * @requires a program of the group that selects explicitly, or the kernel's hash gives the
   *   standby a share of new connections at once
   * @throws PermissionError, StandbyError
   */
  static open(key: GroupKey, uid: number, options: SocketOptions, backlog: number): StandbySocket {
    let differs: readonly string[] = [];
    const fd = listenIn(key, uid, "a standby", backlog, (it) => {
      differs = copySocketOptions(it, key.family, options);
    });
    try {
      const standby = new StandbySocket(key, fd);
      standby.#differs = differs;
      return standby;
    } catch (error) {
      libc.close(fd);
      throw error;
    }
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

  [Symbol.dispose](): void {
    if (this.#fd < 0) return;
    this.#stopWatching();
    libc.close(this.#fd);
    this.#fd = -1;
  }
}
