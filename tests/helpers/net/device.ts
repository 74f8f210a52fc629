/** A network device of a test, with addresses, in this network namespace. */
import { execFileSync } from "node:child_process";
import type { Cleanup } from "../cleanup.ts";

/** The addresses of every {@link testDevice}. */
export const ON_DEVICE = { ipv4: "10.83.0.1", ipv6: "fd83::1", linkLocal: "fe80::83:1" } as const;

const ip = (...args: string[]) => execFileSync("ip", args, { stdio: ["ignore", "pipe", "pipe"] });

/**
 * Makes one end of a veth pair, `rmtest0`, with {@link ON_DEVICE}; it is removed at the end of the
 * scene. Returns its index.
 * @param vrf a VRF to put it into
 */
export function testDevice(s: Cleanup, vrf?: string): number {
  const name = "rmtest0";
  ip("link", "add", name, "type", "veth", "peer", "name", "rmtest1");
  s.defer(() => ip("link", "del", name));
  if (vrf) ip("link", "set", name, "master", vrf); // now, as it flushes IPv6 addresses
  for (const end of [name, "rmtest1"]) ip("link", "set", end, "addrgenmode", "none", "up");
  ip("addr", "add", `${ON_DEVICE.ipv4}/24`, "dev", name);
  for (const address of [ON_DEVICE.ipv6, ON_DEVICE.linkLocal]) {
    ip("addr", "add", `${address}/64`, "dev", name, "nodad");
  }
  return indexOf(name);
}

/** Makes a VRF, which has no address of its own, around {@link testDevice}; returns its index. */
export function testVrf(s: Cleanup): number {
  ip("link", "add", "rmvrf", "type", "vrf", "table", "83");
  s.defer(() => ip("link", "del", "rmvrf"));
  ip("link", "set", "rmvrf", "up");
  testDevice(s, "rmvrf");
  return indexOf("rmvrf");
}

/** Whether the kernel has VRFs: not every one is built with them. */
export function hasVrf(): boolean {
  try {
    execFileSync("unshare", ["--net", "ip", "link", "add", "rmvrf", "type", "vrf", "table", "83"], {
      stdio: "ignore",
    });
    return true;
  } catch {
    return false;
  }
}

/** Not from /sys, which shows the namespace in which it was mounted. */
function indexOf(name: string): number {
  const [link] = JSON.parse(String(ip("-j", "link", "show", name)));
  return link.ifindex;
}
