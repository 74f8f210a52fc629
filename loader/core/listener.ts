/** What is observed: listeners, their owners, and the key of the group they form. Pure. */
import { type Family, formatEndpoint } from "./address.ts";

/** What makes two listeners members of one group (with their uid, which cannot differ). */
export interface GroupKey {
  /** Inode number of the network namespace. */
  readonly netns: number;
  readonly family: Family;
  readonly address: string;
  readonly port: number;
  /** Bound device; 0: none. */
  readonly ifindex: number;
  readonly v6only: boolean;
}

/** A process's file descriptor on a listener. */
export interface Owner {
  readonly pid: number;
  readonly fd: number;
  readonly comm: string;
  /** Start of the process, ms of CLOCK_BOOTTIME. */
  readonly startMs: number;
}

export type Protocol = "tcp" | "mptcp" | "udp";

/** One socket that listens (or, for diagnosis, a bound UDP socket). */
export interface Listener {
  readonly cookie: bigint;
  readonly key: GroupKey;
  readonly protocol: Protocol;
  readonly uid: number;
  /** SO_REUSEPORT was set. */
  readonly reuseport: boolean;
  /** Identity of the kernel's group within one read; 0n: none. */
  readonly group: bigint;
  readonly groupSize: number;
  /** A program is attached to the group; its id, or 0 for a classic filter. */
  readonly programId: number | null;
  /** It is in somebody's REUSEPORT_SOCKARRAY, and so cannot be put into our sockmap. */
  readonly sockarray: boolean;
  /** Accept queue now and at most, connections. */
  readonly queueLength: number;
  readonly queueLimit: number;
  /** Requests in handshake. */
  readonly halfOpen: number;
  readonly owners: readonly Owner[];
}

/** `127.0.0.1:8080`, `[::]:443` and, where they matter, device and netns-free. */
export function endpoint(key: GroupKey): string {
  return formatEndpoint(key.family, key.address, key.port);
}

/**
 * The group's name: its directory in bpffs, its `group` label. bpffs reserves
 * dots (kernel/bpf/inode.c, bpf_lookup), so IPv4 is written with underscores.
 */
export function groupName(key: GroupKey): string {
  const device = key.ifindex ? `-dev${key.ifindex}` : "";
  const only = key.v6only ? "-v6only" : "";
  const address = key.address.replaceAll(".", "_");
  return `${key.netns}-${key.family}-${address}-${key.port}${device}${only}`;
}

/** Listeners that can be covered: TCP or MPTCP, and a member of a reuseport group. */
export function isMember(listener: Listener): boolean {
  return listener.protocol !== "udp" && listener.group !== 0n;
}

/**
 * Listeners that a program can select, and through which one can be attached. The kernel refuses
 * both with MPTCP ones: they are members of their group by the TCP socket below them, and
 * reached by the kernel's hash only.
 */
export function isSelectable(listener: Listener): boolean {
  return listener.protocol === "tcp";
}

/** Members by the name of their group. */
export function byGroup(listeners: readonly Listener[]): Map<string, Listener[]> {
  const groups = new Map<string, Listener[]>();
  for (const listener of listeners) {
    if (!isMember(listener)) continue;
    const name = groupName(listener.key);
    const members = groups.get(name);
    if (members) members.push(listener);
    else groups.set(name, [listener]);
  }
  return groups;
}

/** A group that a service covers now. */
export interface GroupMatch {
  readonly name: string;
  readonly service: string;
  readonly members: readonly Listener[];
}
