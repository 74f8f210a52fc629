/** Socket addresses of the few IP addresses that tests use. */
import { AF_INET, AF_INET6, sockaddr } from "../../loader/sys/libc.ts";

/** Returns AF_INET or AF_INET6. */
export function familyOf(address: string): number {
  return address.includes(":") ? AF_INET6 : AF_INET;
}

/** Returns the sockaddr of a dotted IPv4 address, `::` or `::1`. */
export function socketAddress(address: string, port: number): Buffer {
  if (familyOf(address) === AF_INET) {
    return sockaddr(AF_INET, Buffer.from(address.split(".").map(Number)), port);
  }
  if (address !== "::" && address !== "::1") throw new Error(`no test uses the address ${address}`);
  const bytes = Buffer.alloc(16);
  if (address === "::1") bytes[15] = 1;
  return sockaddr(AF_INET6, bytes, port);
}
