/** Socket addresses of the IP addresses that tests use. */
import { addressBytes } from "../../loader/core/address.ts";
import { AF_INET, AF_INET6, sockaddr } from "../../loader/sys/libc.ts";

/** Returns AF_INET or AF_INET6. */
export function familyOf(address: string): number {
  return address.includes(":") ? AF_INET6 : AF_INET;
}

/** Returns the sockaddr of an address without a scope. */
export function socketAddress(address: string, port: number): Buffer {
  const family = familyOf(address);
  return sockaddr(family, addressBytes(family === AF_INET ? "ipv4" : "ipv6", address), port);
}
