/** The listener of a server's first start, when the store has none yet. */
import { addressBytes } from "../core/address.ts";
import { portOf, type Spec } from "../core/spec.ts";
import { ConflictError, hasCode, PermissionError } from "../errors.ts";
import { Owned } from "../owned.ts";
import * as libc from "../sys/libc.ts";

const BACKLOG = 4096; // net.core.somaxconn bounds it

/** Options of a first start's listener. */
export interface ListenOptions {
  /** The longest accept queue, in connections; default: 4096. */
  readonly backlog?: number;
}

/**
 * Opens a TCP listener and returns its file descriptor. A SPEC such as `:80` opens one socket for
 * IPv4 and IPv6, or for IPv4 on a host without IPv6.
 * @throws ConflictError, PermissionError
 */
export function listenOn(spec: Spec, { backlog = BACKLOG }: ListenOptions = {}): number {
  if (spec.address !== null) return open(spec, spec.family ?? "ipv4", spec.address, true, backlog);
  try {
    return open(spec, "ipv6", "::", false, backlog);
  } catch (error) {
    if (!hasCode(error, "EAFNOSUPPORT", "EADDRNOTAVAIL")) throw error;
    return open(spec, "ipv4", "0.0.0.0", true, backlog);
  }
}

function open(
  spec: Spec,
  family: "ipv4" | "ipv6",
  address: string,
  v6only: boolean,
  backlog: number,
): number {
  const domain = family === "ipv6" ? libc.AF_INET6 : libc.AF_INET;
  const type = libc.SOCK_STREAM | libc.SOCK_NONBLOCK | libc.SOCK_CLOEXEC;
  using own = new Owned();
  try {
    const fd = own.fd(libc.socket(domain, type, 0));
    libc.setsockopt(fd, libc.SOL_SOCKET, libc.SO_REUSEADDR, 1);
    if (family === "ipv6") libc.setsockopt(fd, libc.IPPROTO_IPV6, libc.IPV6_V6ONLY, v6only ? 1 : 0);
    libc.bind(fd, libc.sockaddr(domain, addressBytes(family, address), portOf(spec)));
    libc.listen(fd, backlog);
    return own.release(fd);
  } catch (error) {
    throw listenError(spec.text, error);
  }
}

function listenError(text: string, error: unknown): unknown {
  if (hasCode(error, "EADDRINUSE")) {
    const message = `cannot listen on ${text}: another socket uses it (EADDRINUSE)`;
    return new ConflictError(message, { cause: error });
  }
  if (hasCode(error, "EACCES")) {
    const message = `cannot listen on ${text}: not permitted; run as root, or with CAP_NET_BIND_SERVICE`;
    return new PermissionError("CAP_NET_BIND_SERVICE", message, { cause: error });
  }
  return error;
}
