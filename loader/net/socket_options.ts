/**
 * Socket options that a connection inherits from its listener. Listeners with equal options are
 * compatible: "The source and destination listeners MUST have the same settings at the socket API
 * level" (commit 55d444b310c6, Documentation/networking/ip-sysctl.rst, tcp_migrate_req).
 */
import { createHash } from "node:crypto";
import type { Family } from "../core/address.ts";
import { GUARDS_BIT } from "../core/slot.ts";
import { hasCode, SysError } from "../errors.ts";
import * as libc from "../sys/libc.ts";

interface Option {
  readonly name: string;
  readonly level: number;
  readonly option: number;
  /** Bytes of the value; default: 4. */
  readonly size?: number;
  readonly family?: Family;
  /** Bit of SO_BUF_LOCK; without it the value is the system's default, and is left out. */
  readonly lock?: number;
  /** Unless it is 0, it decides which peers are admitted. */
  readonly guards?: true;
}

const { SOL_SOCKET, IPPROTO_TCP, IPPROTO_IPV6 } = libc;
const IPPROTO_IP = 0;
const SO_BUF_LOCK = 72; // since Linux 5.14

/** The options read, in this order (asm-generic/socket.h, linux/tcp.h, linux/in.h, linux/in6.h). */
const OPTIONS: readonly Option[] = [
  { name: "SO_SNDBUF", level: SOL_SOCKET, option: 7, lock: 1 },
  { name: "SO_RCVBUF", level: SOL_SOCKET, option: 8, lock: 2 },
  { name: "SO_KEEPALIVE", level: SOL_SOCKET, option: 9 },
  { name: "SO_OOBINLINE", level: SOL_SOCKET, option: 10 },
  { name: "SO_PRIORITY", level: SOL_SOCKET, option: 12 },
  { name: "SO_LINGER", level: SOL_SOCKET, option: 13, size: 8 },
  { name: "SO_RCVLOWAT", level: SOL_SOCKET, option: 18 },
  { name: "SO_MARK", level: SOL_SOCKET, option: 36 },
  { name: "SO_MAX_PACING_RATE", level: SOL_SOCKET, option: 47 },
  { name: "TCP_NODELAY", level: IPPROTO_TCP, option: 1 },
  { name: "TCP_MAXSEG", level: IPPROTO_TCP, option: 2 },
  { name: "TCP_CORK", level: IPPROTO_TCP, option: 3 },
  { name: "TCP_KEEPIDLE", level: IPPROTO_TCP, option: 4 },
  { name: "TCP_KEEPINTVL", level: IPPROTO_TCP, option: 5 },
  { name: "TCP_KEEPCNT", level: IPPROTO_TCP, option: 6 },
  { name: "TCP_SYNCNT", level: IPPROTO_TCP, option: 7 },
  { name: "TCP_LINGER2", level: IPPROTO_TCP, option: 8 },
  { name: "TCP_DEFER_ACCEPT", level: IPPROTO_TCP, option: 9 },
  { name: "TCP_WINDOW_CLAMP", level: IPPROTO_TCP, option: 10 },
  { name: "TCP_CONGESTION", level: IPPROTO_TCP, option: 13, size: 16 },
  { name: "TCP_USER_TIMEOUT", level: IPPROTO_TCP, option: 18 },
  { name: "TCP_FASTOPEN", level: IPPROTO_TCP, option: libc.TCP_FASTOPEN },
  { name: "TCP_NOTSENT_LOWAT", level: IPPROTO_TCP, option: 25 },
  { name: "TCP_SAVE_SYN", level: IPPROTO_TCP, option: 27 },
  { name: "TCP_ULP", level: IPPROTO_TCP, option: 31, size: 16 },
  { name: "IP_TOS", level: IPPROTO_IP, option: 1 },
  { name: "IP_TTL", level: IPPROTO_IP, option: 2 },
  { name: "IP_MINTTL", level: IPPROTO_IP, option: 21, guards: true },
  { name: "IP_FREEBIND", level: IPPROTO_IP, option: 15 },
  { name: "IP_TRANSPARENT", level: IPPROTO_IP, option: 19 },
  { name: "IPV6_UNICAST_HOPS", level: IPPROTO_IPV6, option: 16, family: "ipv6" },
  { name: "IPV6_TCLASS", level: IPPROTO_IPV6, option: 67, family: "ipv6" },
  { name: "IPV6_MINHOPCOUNT", level: IPPROTO_IPV6, option: 73, family: "ipv6", guards: true },
];

/** Not read by getsockopt(2), but by the iterator: some keys are set, which cannot be copied. */
export const KEYS = "TCP_MD5SIG or TCP_AO";

/** Option name to its bytes in hex, without the options that this kernel does not know. */
export type SocketOptions = Readonly<Record<string, string>>;

/** A call of getsockopt(2). */
export interface OptionQuery {
  readonly level: number;
  readonly name: number;
  /** Bytes. */
  readonly size: number;
}

/** Returns the queries whose answers {@link socketOptionsFrom} takes, in this order. */
export function optionQueries(family: Family): OptionQuery[] {
  const locks = { level: SOL_SOCKET, name: SO_BUF_LOCK, size: 4 };
  return [
    locks,
    ...optionsOf(family).map(({ level, option: name, size = 4 }) => ({ level, name, size })),
  ];
}

/** @param answers the bytes of each option; null: this kernel or socket does not have it */
export function socketOptionsFrom(
  [lockBits, ...answers]: readonly (Buffer | null)[],
  family: Family,
): SocketOptions {
  const locks = lockBits?.readUInt32LE() ?? 0;
  const options: Record<string, string> = {};
  for (const [i, { name, lock }] of optionsOf(family).entries()) {
    if (lock && !(locks & lock)) continue; // the system's default, which may change at any time
    const value = answers[i];
    if (value) options[name] = value.toString("hex");
  }
  return options;
}

/** Codes of getsockopt(2) for an option that this kernel or socket does not have. */
export const NO_SUCH_OPTION = ["ENOPROTOOPT", "EOPNOTSUPP", "EINVAL", "EPERM"] as const;

/** Reads the options of one of our sockets. */
export function readSocketOptions(fd: number, family: Family): SocketOptions {
  const answers = optionQueries(family).map(({ level, name, size }) => read(fd, level, name, size));
  return socketOptionsFrom(answers, family);
}

const optionsOf = (family: Family): Option[] =>
  OPTIONS.filter(({ family: only }) => !only || only === family);

/**
 * Options that set SO_SNDBUF and SO_RCVBUF beyond the sysctl's limit; they need CAP_NET_ADMIN (asm-
 * generic/socket.h).
 */
const FORCE: ReadonlyMap<number, number> = new Map([
  [7, 32],
  [8, 33],
]);

/**
 * Gives `fd` the options of another listener. Sets only those that differ: an option that reads as
 * the system's default would no longer follow it once set.
 * @returns names of the options that still differ
 */
export function copySocketOptions(fd: number, family: Family, wanted: SocketOptions): string[] {
  const before = readSocketOptions(fd, family);
  for (const { name, level, option } of OPTIONS) {
    const value = wanted[name];
    if (value === undefined || value === before[name]) continue;
    write(fd, level, option, Buffer.from(value, "hex"));
  }
  const now = readSocketOptions(fd, family);
  return Object.keys(wanted).filter((name) => wanted[name] !== now[name]);
}

function write(fd: number, level: number, option: number, value: Buffer): void {
  const force = level === SOL_SOCKET ? FORCE.get(option) : undefined;
  try {
    // The kernel doubles a buffer size when it is set, and returns the double (socket(7)).
    if (force) libc.setsockopt(fd, level, force, value.readInt32LE() / 2);
    else libc.setsockoptBytes(fd, level, option, value);
  } catch (error) {
    if (!(error instanceof SysError)) throw error; // copySocketOptions() then reports that it still differs
  }
}

function read(fd: number, level: number, option: number, size: number): Buffer | null {
  try {
    return libc.getsockopt(fd, level, option, size);
  } catch (error) {
    if (hasCode(error, ...NO_SUCH_OPTION)) return null;
    throw error;
  }
}

/** Cache of digests: a host has few distinct sets of options, and reads them often. */
const DIGESTS = new Map<string, bigint>();
const MAX_DIGESTS = 256;

/**
 * Returns the 64-bit digest of options, never 0n: equal digests are one settings class. It says
 * whether the options decide which peers are admitted ({@link GUARDS_BIT}).
 */
export function optionsDigest(options: SocketOptions): bigint {
  const text = JSON.stringify(options);
  const known = DIGESTS.get(text);
  if (known !== undefined) return known;
  const hash = createHash("sha256").update(text).digest().readBigUInt64LE() & ~GUARDS_BIT;
  const digest = hash | (admitsSome(options) ? GUARDS_BIT : 0n) || 2n;
  if (DIGESTS.size === MAX_DIGESTS) DIGESTS.clear();
  DIGESTS.set(text, digest);
  return digest;
}

/** The options that decide which peers are admitted, without those that admit every peer. */
export function guardsIn(options: SocketOptions): string[] {
  const guards = OPTIONS.filter((option) => option.guards).map(({ name }) => name);
  return [KEYS, ...guards].filter((name) => !/^0*$/.test(options[name] ?? ""));
}

const admitsSome = (options: SocketOptions): boolean => guardsIn(options).length > 0;
