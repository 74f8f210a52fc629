/**
 * The standby: the sidecar's own listener in a group. It keeps the group alive when the last
 * listener has left, and what it is given waits in its accept queue; nobody accepts there.
 */
import type { GroupKey } from "../core/listener.ts";
import * as libc from "../sys/libc.ts";
import { onReadable } from "../sys/readable.ts";
import { listenIn } from "./listen.ts";
import { copySocketOptions, type SocketOptions } from "./socket_options.ts";

/** tcpi_sacked: of a listener its backlog (net/ipv4/tcp.c, tcp_get_info; uapi/linux/tcp.h). */
const TCPI_SACKED = 28;

/** Owns a listening socket. Closing it migrates its queue to the group's targets, or resets it. */
export class StandbySocket implements Disposable {
  readonly cookie: bigint;
  /** Connections it holds at most: what was asked for, or net.core.somaxconn where that is less. */
  backlog = 0;
  readonly #key: GroupKey;
  #fd: number;
  #stopWatching: () => void = () => {};
  #differs: readonly string[] = [];

  private constructor(key: GroupKey, fd: number) {
    this.#key = key;
    this.#fd = fd;
    this.cookie = libc.getsockopt(fd, libc.SOL_SOCKET, libc.SO_COOKIE, 8).readBigUInt64LE();
    this.#readBacklog();
  }

  /**
   * Listens in the group of `key` and `uid`. The group's program must select explicitly by then,
   * or the kernel's hash gives the standby a share at once.
   * @throws PermissionError, StandbyError
   */
  static open(key: GroupKey, uid: number, settings: SocketOptions, backlog: number): StandbySocket {
    let differs: readonly string[] = [];
    const fd = listenIn(key, uid, "a standby", backlog, (it) => {
      differs = copySocketOptions(it, key.family, settings);
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

  /** Settings in which it differs from the listeners it stands by for, by name. */
  get differs(): readonly string[] {
    return this.#differs;
  }

  /** Takes other settings, as its listeners did. */
  follow(settings: SocketOptions): void {
    this.#differs = copySocketOptions(this.#fd, this.#key.family, settings);
  }

  /** Holds so many connections at most from now on: listen(2) again sets only that. */
  resize(backlog: number): void {
    libc.listen(this.#fd, backlog);
    this.#readBacklog();
  }

  #readBacklog(): void {
    const info = libc.getsockopt(this.#fd, libc.IPPROTO_TCP, libc.TCP_INFO, TCPI_SACKED + 4);
    this.backlog = info.readUInt32LE(TCPI_SACKED);
  }

  /** Hands its file descriptor to `use`, to put it into a map. */
  place(use: (fd: number) => void): void {
    use(this.#fd);
  }

  /** Calls `arrived` when a connection waits here, once. */
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
