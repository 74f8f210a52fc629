/**
 * The standby: the sidecar's own listener in a group. It keeps the group alive when the last
 * listener has left, and what it is given waits in its accept queue; nobody accepts there.
 */
import { addressBytes } from "./address.ts";
import { hasCode, PermissionError, StandbyError } from "./errors.ts";
import { endpoint, type GroupKey } from "./listener.ts";
import { inNetns } from "./netns.ts";
import { copySettings, type Settings } from "./settings.ts";
import * as libc from "./sys/libc.ts";
import { onReadable } from "./sys/poll.ts";

/** tcpi_sacked: of a listener its backlog (net/ipv4/tcp.c, tcp_get_info; uapi/linux/tcp.h). */
const TCPI_SACKED = 28;

/** Owns a listening socket. Closing it migrates its queue to the group's targets, or resets it. */
export class Standby implements Disposable {
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
  static open(key: GroupKey, uid: number, settings: Settings, backlog: number): Standby {
    const type = libc.SOCK_STREAM | libc.SOCK_NONBLOCK | libc.SOCK_CLOEXEC;
    const family = key.family === "ipv4" ? libc.AF_INET : libc.AF_INET6;
    const fd = inNetns(key.netns, () => libc.socket(family, type, libc.IPPROTO_TCP));
    try {
      own(fd, key, uid);
      // What it was given keeps this option, up to TIME_WAIT: without it a server that does not set
      // SO_REUSEPORT could not listen for a minute, once it is adopted no more.
      libc.setsockopt(fd, libc.SOL_SOCKET, libc.SO_REUSEADDR, 1);
      libc.setsockopt(fd, libc.SOL_SOCKET, libc.SO_REUSEPORT, 1);
      if (family === libc.AF_INET6) {
        libc.setsockopt(fd, libc.IPPROTO_IPV6, libc.IPV6_V6ONLY, key.v6only ? 1 : 0);
      }
      if (key.ifindex) libc.setsockopt(fd, libc.SOL_SOCKET, libc.SO_BINDTOIFINDEX, key.ifindex);
      const differs = copySettings(fd, key.family, settings);
      listenOn(fd, key, family, backlog);
      const standby = new Standby(key, fd);
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
  follow(settings: Settings): void {
    this.#differs = copySettings(this.#fd, this.#key.family, settings);
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

/** A group is of one uid: that of the sockets, not of the processes. */
function own(fd: number, key: GroupKey, uid: number): void {
  if (uid === process.geteuid?.()) return;
  try {
    libc.fchown(fd, uid);
  } catch (error) {
    if (!hasCode(error, "EPERM")) throw error;
    throw new PermissionError(
      "CAP_CHOWN",
      `a standby for ${endpoint(key)} must be of uid ${uid}, which is not permitted: run as root, or with CAP_CHOWN`,
      { cause: error },
    );
  }
}

function listenOn(fd: number, key: GroupKey, family: number, backlog: number): void {
  try {
    libc.bind(fd, libc.sockaddr(family, addressBytes(key.family, key.address), key.port));
    libc.listen(fd, backlog);
  } catch (error) {
    if (hasCode(error, "EACCES")) {
      throw new PermissionError(
        "CAP_NET_BIND_SERVICE",
        `a standby on ${endpoint(key)} is not permitted: run as root, or with CAP_NET_BIND_SERVICE`,
        { cause: error },
      );
    }
    const why = hasCode(error, "EADDRINUSE")
      ? "a listener without SO_REUSEPORT, or of another uid, has it"
      : (error as Error).message;
    throw new StandbyError(`a standby cannot listen on ${endpoint(key)}: ${why}`, { cause: error });
  }
}
