/**
 * What one read of the iterator says, as plain data. Most reads say what the one before did: then
 * the same objects are given again, so that who compares them need not look into them. Pure.
 */
import { COMM_LEN, LAYOUT } from "./abi.ts";
import { type Family, formatAddress } from "./address.ts";
import { groupName, isMember, type Listener, type Owner, type Protocol } from "./listener.ts";
import { AF_INET, IPPROTO_MPTCP, IPPROTO_TCP, IPPROTO_UDP } from "./sys/inet.ts";

const RECORD = LAYOUT.rm_listener.size;
const AT = LAYOUT.rm_listener.members;
/** What changes with every connection is in one stretch of a record. */
const QUEUES = { from: AT.queue_length, to: AT.half_open + 4 };

const PROTOCOLS: ReadonlyMap<number, Protocol> = new Map([
  [IPPROTO_TCP, "tcp"],
  [IPPROTO_UDP, "udp"],
  [IPPROTO_MPTCP, "mptcp"],
]);

/** Who listens. */
export interface Observed {
  /** Each listener once, with all its owners. */
  readonly listeners: readonly Listener[];
  /** Members of each group by its name; the same array as before where nothing changed. */
  readonly groups: ReadonlyMap<string, readonly Listener[]>;
}

/** A listener, and where its records are: one of each owner. */
interface Entry {
  listener: Listener;
  /** Its group's name; null: it is in none. */
  name: string | null;
  readonly at: number[];
}

const NOTHING: Observed = { listeners: [], groups: new Map() };

/** Reads, one after the other. */
export class Observations {
  #bytes: Buffer = Buffer.alloc(0);
  #entries: ReadonlyMap<bigint, Entry> = new Map();
  #observed: Observed = NOTHING;

  /** @param bytes whole records; the caller's again afterwards */
  next(bytes: Buffer): Observed {
    if (bytes.equals(this.#bytes)) return this.#observed;
    const entries = new Map<bigint, Entry>();
    for (let at = 0; at + RECORD <= bytes.length; at += RECORD) {
      const cookie = bytes.readBigUInt64LE(at + AT.cookie);
      const known = entries.get(cookie);
      if (known) known.at.push(at);
      else entries.set(cookie, { listener: UNKNOWN, name: null, at: [at] });
    }
    for (const [cookie, entry] of entries) this.#identify(bytes, entry, this.#entries.get(cookie));
    this.#observed = {
      listeners: [...entries.values()].map(({ listener }) => listener),
      groups: grouped(entries.values(), this.#observed.groups),
    };
    this.#bytes = Buffer.from(bytes);
    this.#entries = entries;
    return this.#observed;
  }

  /** As before, as before but for its queues, or decoded. */
  #identify(bytes: Buffer, entry: Entry, before: Entry | undefined): void {
    const same = (from: number, to: number) =>
      entry.at.every((at, i) => {
        const was = before?.at[i] ?? 0;
        return bytes.compare(this.#bytes, was + from, was + to, at + from, at + to) === 0;
      });
    const isKnown =
      before?.at.length === entry.at.length && same(0, QUEUES.from) && same(QUEUES.to, RECORD);
    const [first = 0] = entry.at;
    if (!isKnown) {
      entry.listener = decode(bytes, entry.at);
      entry.name = isMember(entry.listener) ? groupName(entry.listener.key) : null;
      return;
    }
    entry.name = before.name;
    entry.listener = same(QUEUES.from, QUEUES.to)
      ? before.listener
      : { ...before.listener, ...queues(bytes, first) };
  }
}

function grouped(
  entries: Iterable<Entry>,
  before: Observed["groups"],
): Map<string, readonly Listener[]> {
  const groups = new Map<string, Listener[]>();
  for (const { name, listener } of entries) {
    if (name === null) continue;
    const members = groups.get(name);
    if (members) members.push(listener);
    else groups.set(name, [listener]);
  }
  const result = new Map<string, readonly Listener[]>(groups);
  for (const [name, members] of groups) {
    const was = before.get(name);
    const same = was?.length === members.length && members.every((one, i) => one === was[i]);
    if (same) result.set(name, was);
  }
  return result;
}

/**
 * Whether a group's members are as they were in all that a plan and what is attached depend on; of
 * queues only those of `standby` count, by its cookie.
 */
export function alike(a: readonly Listener[], b: readonly Listener[], standby: bigint): boolean {
  if (a === b) return true;
  if (a.length !== b.length) return false;
  return a.every((one, i) => {
    const other = b[i];
    if (one === other) return true;
    // Its owners are the same object as long as all but its queues is.
    if (one.cookie !== other?.cookie || one.owners !== other.owners) return false;
    if (one.cookie !== standby) return true;
    return one.queueLength === other.queueLength && one.halfOpen === other.halfOpen;
  });
}

function decode(bytes: Buffer, at: readonly number[]): Listener {
  const [first = 0] = at;
  const r = bytes.subarray(first, first + RECORD);
  const family: Family = r.readUInt16LE(AT.family) === AF_INET ? "ipv4" : "ipv6";
  return {
    cookie: r.readBigUInt64LE(AT.cookie),
    key: {
      netns: r.readUInt32LE(AT.netns),
      family,
      address: formatAddress(family, r.subarray(AT.addr, AT.addr + 16)),
      port: r.readUInt16LE(AT.port),
      ifindex: r.readUInt32LE(AT.ifindex),
      v6only: family === "ipv6" && r.readUInt8(AT.v6only) !== 0,
    },
    protocol: PROTOCOLS.get(r.readUInt16LE(AT.protocol)) ?? "tcp",
    uid: r.readUInt32LE(AT.uid),
    reuseport: r.readUInt8(AT.reuseport) !== 0,
    group: r.readBigUInt64LE(AT.group),
    groupSize: r.readUInt16LE(AT.group_size),
    programId: r.readUInt8(AT.has_prog) ? r.readUInt32LE(AT.prog_id) : null,
    sockarray: r.readUInt8(AT.sockarray) !== 0,
    ...queues(bytes, first),
    owners: at.map((one) => owner(bytes.subarray(one, one + RECORD))),
  };
}

function queues(bytes: Buffer, at: number) {
  return {
    queueLength: bytes.readUInt32LE(at + AT.queue_length),
    queueLimit: bytes.readUInt32LE(at + AT.queue_limit),
    halfOpen: bytes.readUInt32LE(at + AT.half_open),
  };
}

function owner(r: Buffer): Owner {
  const comm = r.toString("utf8", AT.comm, AT.comm + COMM_LEN);
  return {
    pid: r.readUInt32LE(AT.pid),
    fd: r.readUInt32LE(AT.fd),
    comm: comm.slice(0, comm.indexOf("\0")),
    startMs: Number(r.readBigUInt64LE(AT.start_ns) / 1_000_000n),
  };
}

/** Until it is identified. */
const UNKNOWN = decode(Buffer.alloc(RECORD), []);
