/** Connections of our own to a listener of this host: to ask whether it accepts, and to wake it. */
import { addressBytes } from "../core/address.ts";
import type { GroupKey } from "../core/listener.ts";
import * as libc from "../sys/libc.ts";
import { inNetns } from "./netns.ts";

const domainOf = ({ family }: GroupKey) => (family === "ipv4" ? libc.AF_INET : libc.AF_INET6);

/** A TCP socket in the listener's namespace, bound to a port of its own and not connected. */
export function openSocket(key: GroupKey): number {
  const type = libc.SOCK_STREAM | libc.SOCK_NONBLOCK | libc.SOCK_CLOEXEC;
  const domain = domainOf(key);
  const fd = inNetns(key.netns, () => libc.socket(domain, type, libc.IPPROTO_TCP));
  try {
    libc.bind(fd, libc.sockaddr(domain, Buffer.alloc(16), 0));
    return fd;
  } catch (error) {
    libc.close(fd);
    throw error;
  }
}

/** Begins to connect; it does not wait. */
export function connectTo(fd: number, key: GroupKey): void {
  libc.connect(fd, libc.sockaddr(domainOf(key), reachable(key), key.port));
}

/** The address to connect to from the same host: loopback where the listener takes any. */
function reachable({ family, address }: GroupKey): Buffer {
  if (address === "0.0.0.0") return addressBytes("ipv4", "127.0.0.1");
  if (address === "::") return addressBytes("ipv6", "::1");
  return addressBytes(family, address);
}
