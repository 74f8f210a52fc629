/** Sockets of the sidecar's own that connect to a listener, and the addresses that lead to it. */
import { readFileSync } from "node:fs";
import { addressBytes } from "../core/address.ts";
import type { GroupKey } from "../core/listener.ts";
import { Owned } from "../owned.ts";
import * as libc from "../sys/libc.ts";
import { domainOf, openTcp } from "./listen.ts";
import { inNetns } from "./netns.ts";

/**
 * Loopback, and where another listener has that for itself, an address that hardly any has: all of
 * 127.0.0.0/8 is local.
 */
const LOOPBACK = ["127.0.0.1", "127.82.77.1"];
/** To a socket that is bound to a device: an address of that device, or of that VRF. */
const OF_DEVICE = ["0.0.0.0"];
/** A host may have thousands of IPv6 addresses; the first few are tried. */
const MAX_ADDRESSES = 8;
/** Scope of an IPv6 address: IPV6_ADDR_LINKLOCAL (include/net/ipv6.h). */
const LINK_LOCAL = 0x20;

/** Opens a TCP socket in the listener's network namespace and device, bound to a free port. */
export function openSocket(key: GroupKey): number {
  using own = new Owned();
  const fd = own.fd(openTcp(key));
  // An IPv6 listener may only be reached by IPv4.
  if (key.family === "ipv6") libc.setsockopt(fd, libc.IPPROTO_IPV6, libc.IPV6_V6ONLY, 0);
  if (key.ifindex) libc.setsockopt(fd, libc.SOL_SOCKET, libc.SO_BINDTOIFINDEX, key.ifindex);
  libc.bind(fd, libc.sockaddr(domainOf(key), Buffer.alloc(16), 0));
  return own.release(fd);
}

/** Starts to connect `fd`; does not wait. @throws SysError if there is no way to `destination` */
export function connectTo(fd: number, key: GroupKey, destination: Buffer): void {
  libc.connect(fd, libc.sockaddr(domainOf(key), destination, key.port));
}

/**
 * Returns the addresses to connect to, in the order to try them. None is certain: a listener on a
 * more specific address gets the connection.
 */
export function destinationsOf(key: GroupKey): readonly Buffer[] {
  const { family, address, ifindex, v6only } = key;
  if (address !== "0.0.0.0" && address !== "::") return [addressBytes(family, address)];
  const ipv4 = ifindex ? OF_DEVICE : LOOPBACK;
  if (family === "ipv4") return ipv4.map((text) => addressBytes("ipv4", text));
  const mapped = v6only ? [] : ipv4.map((text) => addressBytes("ipv6", `::ffff:${text}`));
  const own = ownIpv6(key);
  return ifindex ? [...own, ...mapped] : [addressBytes("ipv6", "::1"), ...mapped, ...own];
}

/** Returns IPv6 addresses of the listener's device; of any, if it has no device, or a bare VRF. */
function ownIpv6({ netns, ifindex }: GroupKey): Buffer[] {
  const all = inNetns(netns, readIpv6);
  const ofDevice = all.filter((one) => one.ifindex === ifindex);
  const others = all.filter(({ scope }) => scope !== LINK_LOCAL);
  const found = ofDevice.length > 0 ? ofDevice : others;
  return found.slice(0, MAX_ADDRESSES).map(({ address }) => address);
}

/** Reads the IPv6 addresses of this thread's network namespace; none if it has no IPv6. */
function readIpv6() {
  try {
    const text = readFileSync("/proc/thread-self/net/if_inet6", "latin1");
    return text
      .trim()
      .split("\n")
      .map((line) => {
        const [address = "", ifindex = "", , scope = ""] = line.split(" ");
        return {
          address: Buffer.from(address, "hex"),
          ifindex: Number.parseInt(ifindex, 16),
          scope: Number.parseInt(scope, 16),
        };
      })
      .filter(({ address }) => address.length === 16);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return [];
    throw error;
  }
}
