/** Connections of the sidecar's own to a listener, to check that it accepts and to wake it. */
import { addressBytes } from "../core/address.ts";
import type { GroupKey } from "../core/listener.ts";
import * as libc from "../sys/libc.ts";
import { inNetns } from "./netns.ts";

const domainOf = ({ family }: GroupKey) => (family === "ipv4" ? libc.AF_INET : libc.AF_INET6);

/** Opens a TCP socket in the listener's network namespace, bound to a free port. */
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

/** Starts to connect `fd` to the listener; does not wait. */
export function connectTo(fd: number, key: GroupKey): void {
  libc.connect(fd, libc.sockaddr(domainOf(key), destination(key), key.port));
}

/** Returns the address bytes to connect to: loopback if the listener is bound to any address. */
function destination({ family, address }: GroupKey): Buffer {
  if (address === "0.0.0.0") return addressBytes("ipv4", "127.0.0.1");
  if (address === "::") return addressBytes("ipv6", "::1");
  return addressBytes(family, address);
}
