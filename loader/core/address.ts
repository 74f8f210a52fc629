/** IP addresses as text and as the kernel's bytes. Pure. */
import { isIPv4, isIPv6 } from "node:net";

export type Family = "ipv4" | "ipv6";

const MAPPED = "::ffff:";

/** Returns the canonical text of an IPv6 address (RFC 5952; IPv4-mapped as `::ffff:192.0.2.7`). */
export function canonicalIPv6(text: string): string {
  const address = compressed(text);
  const [high, low, ...rest] = address.startsWith(MAPPED)
    ? address.slice(MAPPED.length).split(":")
    : [];
  if (high === undefined || low === undefined || rest.length > 0) return address;
  const bytes = Buffer.alloc(4);
  bytes.writeUInt16BE(Number.parseInt(high, 16), 0);
  bytes.writeUInt16BE(Number.parseInt(low, 16), 2);
  return MAPPED + formatAddress("ipv4", bytes);
}

/** Returns an IPv6 address in hex with its longest zeros compressed, by WHATWG URL. */
function compressed(text: string): string {
  return new URL(`http://[${text}]`).hostname.slice(1, -1);
}

/**
 * Returns the IPv4 address that a socket bound to `address` serves, and no other: of an IPv6 socket,
 * the address that is mapped (RFC 4291, 2.5.5.2). Null if there is none.
 */
export function ipv4Of(family: Family, address: string): string | null {
  if (family === "ipv4") return address;
  return address.startsWith(MAPPED) && address.includes(".") ? address.slice(MAPPED.length) : null;
}

/** Returns the text of an address: 4 bytes for IPv4, 16 for IPv6, network byte order. */
export function formatAddress(family: Family, bytes: Buffer): string {
  if (family === "ipv4") return [...bytes.subarray(0, 4)].join(".");
  const words: string[] = [];
  for (let i = 0; i < 16; i += 2) words.push(bytes.readUInt16BE(i).toString(16));
  return canonicalIPv6(words.join(":"));
}

/** Returns the 16-byte field of an address; IPv4 in the first four. */
export function addressBytes(family: Family, text: string): Buffer {
  const out = Buffer.alloc(16);
  if (family === "ipv4") {
    for (const [i, part] of text.split(".").entries()) out.writeUInt8(Number(part), i);
    return out;
  }
  const [head = "", tail] = compressed(text).split("::");
  const words = (s: string | undefined) => (s ? s.split(":") : []);
  const last = words(tail);
  for (const [i, word] of words(head).entries())
    out.writeUInt16BE(Number.parseInt(word, 16), i * 2);
  for (const [i, word] of last.entries()) {
    out.writeUInt16BE(Number.parseInt(word, 16), (8 - last.length + i) * 2);
  }
  return out;
}

/** `192.0.2.7:443` or `[2001:db8::1]:443`. */
export function formatEndpoint(family: Family, address: string, port: number): string {
  return family === "ipv6" ? `[${address}]:${port}` : `${address}:${port}`;
}

/** Returns the family of a numeric address, or null if it is none. */
export function familyOf(address: string): Family | null {
  if (isIPv4(address)) return "ipv4";
  return isIPv6(address) && !address.includes("%") ? "ipv6" : null;
}
