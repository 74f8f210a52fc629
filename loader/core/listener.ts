/** Listeners, the processes that own them, and the key of the group they form. Pure. */
import { type Family, familyOf, formatEndpoint } from "./address.ts";

/**
 * What two listeners of one group have in common. Their uid is equal too: the kernel requires it.
 */
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

/**
 * A listening socket (or, for diagnosis, a bound UDP socket). Its queue lengths are no part of it:
 * they change with every connection.
 */
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
  /**
   * A REUSEPORT_SOCKARRAY of another program contains it, so the kernel keeps it out of our
   * sockmap.
   */
  readonly sockarray: boolean;
  /** TCP_MD5SIG or TCP_AO keys are set: it answers only peers that have one. */
  readonly keyed: boolean;
  /**
   * The CPU whose packets the kernel's hash gives it (SO_INCOMING_CPU, Linux 6.2 and newer);
   * less than 0: none.
   */
  readonly incomingCpu: number;
  readonly owners: readonly Owner[];
}

/** Connections in a listener's accept queue, that queue's limit, and requests in handshake. */
export interface Queues {
  readonly length: number;
  readonly limit: number;
  readonly halfOpen: number;
}

/** The queues of a listener that no snapshot contains. */
export const NO_QUEUES: Queues = { length: 0, limit: 0, halfOpen: 0 };

/** No listener has a connection. */
export const NOTHING_QUEUED: QueuesByCookie = new Map();

/** Queues by the cookie of their listener. */
export type QueuesByCookie = ReadonlyMap<bigint, Queues>;

/** `127.0.0.1:8080`, `[::]:443`; without the device and the network namespace. */
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

/** Returns the key of the group with this name, or null if no group can have it. */
export function groupKeyOf(name: string): GroupKey | null {
  const [, netns, family, written = "", port, device = "0", only] =
    /^(\d+)-(ipv4|ipv6)-(.+?)-(\d+)(?:-dev(\d+))?(-v6only)?$/.exec(name) ?? [];
  const address = written.replaceAll("_", ".");
  if (family === undefined || familyOf(address) !== family) return null;
  return {
    netns: Number(netns),
    family: family as Family,
    address,
    port: Number(port),
    ifindex: Number(device),
    v6only: only !== undefined,
  };
}

/** True for listeners that a service can cover: TCP or MPTCP members of a reuseport group. */
export function isMember(listener: Listener): boolean {
  return listener.protocol !== "udp" && listener.group !== 0n;
}

/**
 * True for listeners that a program can select, and through which a program can be attached. The
 * kernel refuses both for MPTCP listeners: only the TCP socket below them is a member of the group,
 * and only the kernel's hash reaches it.
 */
export function isSelectable(listener: Listener): boolean {
  return listener.protocol === "tcp";
}

/** Returns the members of each group by the group's name. */
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
