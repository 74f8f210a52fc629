/** Connections of the sidecar's own to a listener, to check that it accepts and to wake it. */
import { addressBytes } from "../core/address.ts";
import type { GroupKey } from "../core/listener.ts";
import * as libc from "../sys/libc.ts";
import { domainOf, openTcp } from "./listen.ts";

/** Opens a TCP socket in the listener's network namespace, bound to a free port. */
export function openSocket(key: GroupKey): number {
  const fd = openTcp(key);
  try {
    libc.bind(fd, libc.sockaddr(domainOf(key), Buffer.alloc(16), 0));
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
