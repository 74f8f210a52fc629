/** A listening socket of our own in a group: of its namespace, address, device and user. */
import { addressBytes } from "../core/address.ts";
import { endpoint, type GroupKey } from "../core/listener.ts";
import { hasCode, PermissionError, StandbyError } from "../errors.ts";
import * as libc from "../sys/libc.ts";
import { inNetns } from "./netns.ts";

const familyOf = ({ family }: GroupKey) => (family === "ipv4" ? libc.AF_INET : libc.AF_INET6);

/**
 * Listens in the group of `key` and `uid`; the caller closes the file descriptor.
 * @param what it is, for what goes wrong
 * @param prepare is given the socket before it is bound
 * @throws PermissionError, StandbyError
 */
export function listenIn(
  key: GroupKey,
  uid: number,
  what: string,
  backlog: number,
  prepare: (fd: number) => void,
): number {
  const type = libc.SOCK_STREAM | libc.SOCK_NONBLOCK | libc.SOCK_CLOEXEC;
  const family = familyOf(key);
  const fd = inNetns(key.netns, () => libc.socket(family, type, libc.IPPROTO_TCP));
  try {
    own(fd, key, uid, what);
    // What it was given keeps this option, up to TIME_WAIT: without it a server that does not set
    // SO_REUSEPORT could not listen for a minute, once it is adopted no more.
    libc.setsockopt(fd, libc.SOL_SOCKET, libc.SO_REUSEADDR, 1);
    libc.setsockopt(fd, libc.SOL_SOCKET, libc.SO_REUSEPORT, 1);
    if (family === libc.AF_INET6) {
      libc.setsockopt(fd, libc.IPPROTO_IPV6, libc.IPV6_V6ONLY, key.v6only ? 1 : 0);
    }
    if (key.ifindex) libc.setsockopt(fd, libc.SOL_SOCKET, libc.SO_BINDTOIFINDEX, key.ifindex);
    prepare(fd);
    bindAndListen(fd, key, what, backlog);
    return fd;
  } catch (error) {
    libc.close(fd);
    throw error;
  }
}

/** A group is of one uid: that of the sockets, not of the processes. */
function own(fd: number, key: GroupKey, uid: number, what: string): void {
  if (uid === process.geteuid?.()) return;
  try {
    libc.fchown(fd, uid);
  } catch (error) {
    if (!hasCode(error, "EPERM")) throw error;
    throw new PermissionError(
      "CAP_CHOWN",
      `${what} for ${endpoint(key)} must be of uid ${uid}, which is not permitted: run as root, or with CAP_CHOWN`,
      { cause: error },
    );
  }
}

function bindAndListen(fd: number, key: GroupKey, what: string, backlog: number): void {
  const family = familyOf(key);
  try {
    libc.bind(fd, libc.sockaddr(family, addressBytes(key.family, key.address), key.port));
    libc.listen(fd, backlog);
  } catch (error) {
    if (hasCode(error, "EACCES")) {
      throw new PermissionError(
        "CAP_NET_BIND_SERVICE",
        `${what} on ${endpoint(key)} is not permitted: run as root, or with CAP_NET_BIND_SERVICE`,
        { cause: error },
      );
    }
    const why = hasCode(error, "EADDRINUSE")
      ? "a listener without SO_REUSEPORT, or of another uid, has it"
      : (error as Error).message;
    throw new StandbyError(`${what} cannot listen on ${endpoint(key)}: ${why}`, { cause: error });
  }
}
