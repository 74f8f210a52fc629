/** Listening sockets of our own in a group: in its namespace, with its address, device and user. */
import { addressBytes } from "../core/address.ts";
import { endpoint, type GroupKey } from "../core/listener.ts";
import { hasCode, PermissionError, StandbyError } from "../errors.ts";
import { Owned } from "../owned.ts";
import * as libc from "../sys/libc.ts";
import { inNetns } from "./netns.ts";

/** Returns AF_INET or AF_INET6. */
export const domainOf = ({ family }: GroupKey) =>
  family === "ipv4" ? libc.AF_INET : libc.AF_INET6;

/** Opens a TCP socket in the group's namespace. */
export function openTcp(key: GroupKey): number {
  const type = libc.SOCK_STREAM | libc.SOCK_NONBLOCK | libc.SOCK_CLOEXEC;
  return inNetns(key.netns, () => libc.socket(domainOf(key), type, libc.IPPROTO_TCP));
}

/**
 * Listens in the group of `key` and `uid`; the caller closes the file descriptor.
 * @param what names the socket in errors
 * @param prepare runs before the socket is bound
 * @throws PermissionError, StandbyError
 */
export function listenIn(
  key: GroupKey,
  uid: number,
  what: string,
  backlog: number,
  prepare: (fd: number) => void,
): number {
  using own = new Owned();
  const fd = own.fd(openTcp(key));
  setOwner(fd, key, uid, what);
  // Accepted connections inherit SO_REUSEADDR, up to TIME_WAIT. Without it a server that does not
  // set SO_REUSEPORT could not listen for a minute after its adoption has ended.
  libc.setsockopt(fd, libc.SOL_SOCKET, libc.SO_REUSEADDR, 1);
  libc.setsockopt(fd, libc.SOL_SOCKET, libc.SO_REUSEPORT, 1);
  if (key.family === "ipv6") {
    libc.setsockopt(fd, libc.IPPROTO_IPV6, libc.IPV6_V6ONLY, key.v6only ? 1 : 0);
  }
  if (key.ifindex) libc.setsockopt(fd, libc.SOL_SOCKET, libc.SO_BINDTOIFINDEX, key.ifindex);
  prepare(fd);
  bindAndListen(fd, key, what, backlog);
  return own.release(fd);
}

/** Gives the socket the group's uid: the kernel compares the uids of sockets, not of processes. */
function setOwner(fd: number, key: GroupKey, uid: number, what: string): void {
  if (uid === process.geteuid?.()) return;
  try {
    libc.fchown(fd, uid);
  } catch (error) {
    if (!hasCode(error, "EPERM")) throw error;
    throw new PermissionError(
      "CAP_CHOWN",
      `${what} for ${endpoint(key)} requires uid ${uid}, which is not permitted: run as root, or grant CAP_CHOWN`,
      { cause: error },
    );
  }
}

function bindAndListen(fd: number, key: GroupKey, what: string, backlog: number): void {
  try {
    libc.bind(fd, libc.sockaddr(domainOf(key), addressBytes(key.family, key.address), key.port));
    libc.listen(fd, backlog);
  } catch (error) {
    if (hasCode(error, "EACCES")) {
      throw new PermissionError(
        "CAP_NET_BIND_SERVICE",
        `${what} on ${endpoint(key)} is not permitted: run as root, or grant CAP_NET_BIND_SERVICE`,
        { cause: error },
      );
    }
    const why = hasCode(error, "EADDRINUSE")
      ? "a listener without SO_REUSEPORT, or of another uid, has the port"
      : (error as Error).message;
    throw new StandbyError(`${what} cannot listen on ${endpoint(key)}: ${why}`, { cause: error });
  }
}
