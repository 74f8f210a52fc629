/** Descriptions of file descriptors for `store list`, read from the kernel. */
import { fstatSync, readlinkSync } from "node:fs";
import { formatAddress, formatEndpoint } from "../core/address.ts";
import { printable, printableBytes } from "../printable.ts";
import * as libc from "../sys/libc.ts";
import { SOCK_SEQPACKET } from "../sys/unix_socket.ts";
import type { StoredFd } from "./stored_name.ts";

/** Offset of tcpi_unacked: a listener's accept queue (net/ipv4/tcp.c, tcp_get_info). */
const TCPI_UNACKED = 24;
/** Most characters of an address: a client may choose a long path. */
const MAX_ADDRESS = 128;

const UNIX_TYPES: Readonly<Record<number, string>> = {
  [libc.SOCK_STREAM]: "unix-stream",
  [libc.SOCK_DGRAM]: "unix-datagram",
  [SOCK_SEQPACKET]: "unix-seqpacket",
};
const IP_TYPES: Readonly<Record<number, string>> = {
  [libc.IPPROTO_TCP]: "tcp",
  [libc.IPPROTO_UDP]: "udp",
  [libc.IPPROTO_MPTCP]: "mptcp",
};

/** Describes a file descriptor; never fails, but returns type `other`. */
export function describeFd(fd: number): StoredFd {
  try {
    return fstatSync(fd).isSocket() ? describeSocket(fd) : describeFile(fd);
  } catch {
    return plain("other", "");
  }
}

/** Returns whether both are descriptors of one socket. */
export function sameSocket(a: number, b: number): boolean {
  const [one, other] = [a, b].map((fd) => fstatSync(fd, { bigint: true }));
  return one?.isSocket() === true && other?.isSocket() === true && one.ino === other.ino;
}

function describeSocket(fd: number): StoredFd {
  const option = (name: number) => libc.getsockopt(fd, libc.SOL_SOCKET, name, 4).readInt32LE();
  const domain = option(libc.SO_DOMAIN);
  const listening = option(libc.SO_ACCEPTCONN) === 1;
  const name = libc.getsockname(fd);
  if (domain === libc.AF_UNIX) {
    const type = UNIX_TYPES[option(libc.SO_TYPE)] ?? "unix";
    return { ...plain(type, unixPath(name)), listening };
  }
  if (domain !== libc.AF_INET && domain !== libc.AF_INET6) return plain("socket", "");
  const type = IP_TYPES[option(libc.SO_PROTOCOL)] ?? "ip";
  const queue =
    listening && type === "tcp"
      ? libc
          .getsockopt(fd, libc.IPPROTO_TCP, libc.TCP_INFO, TCPI_UNACKED + 4)
          .readUInt32LE(TCPI_UNACKED)
      : null;
  return { ...plain(type, ipEndpoint(domain, name)), listening, queue };
}

function describeFile(fd: number): StoredFd {
  const stat = fstatSync(fd);
  const target = readlinkSync(`/proc/self/fd/${fd}`);
  if (stat.isFIFO()) return plain("pipe", target);
  if (stat.isFile()) return plain("file", target);
  if (stat.isDirectory()) return plain("directory", target);
  if (stat.isCharacterDevice() || stat.isBlockDevice()) return plain("device", target);
  return plain("other", target); // anon_inode:[eventpoll] and the like
}

function plain(type: string, address: string): StoredFd {
  const clean = printable(address).slice(0, MAX_ADDRESS);
  return { type, listening: false, address: clean, queue: null };
}

function ipEndpoint(domain: number, name: Buffer): string {
  const port = name.readUInt16BE(2);
  return domain === libc.AF_INET
    ? formatEndpoint("ipv4", formatAddress("ipv4", name.subarray(4, 8)), port)
    : formatEndpoint("ipv6", formatAddress("ipv6", name.subarray(8, 24)), port);
}

function unixPath(name: Buffer): string {
  const path = name.subarray(2);
  if (path.length === 0) return "";
  if (path[0] === 0) return `@${printableBytes(path.subarray(1))}`;
  const end = path.indexOf(0);
  return printableBytes(path.subarray(0, end < 0 ? path.length : end));
}
