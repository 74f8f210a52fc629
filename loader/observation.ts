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

/** A listener from its first read to its last. */
interface Entry {
  listener: Listener;
  /** Its group's name; null: it is in none. */
  name: string | null;
}

const NOTHING: Observed = { listeners: [], groups: new Map() };

/** Reads, one after the other. Costs what has changed, not what there is. */
export class Observations {
  #bytes: Buffer = Buffer.alloc(0);
  /** Whose each of its records is: a listener has one of each owner. */
  #records: readonly Entry[] = [];
  readonly #entries = new Map<bigint, Entry>();
  #observed: Observed = NOTHING;

  /** @param bytes whole records; the caller's again afterwards */
  next(bytes: Buffer): Observed {
    const was = this.#bytes;
    if (bytes.equals(was)) return this.#observed;
    const { head, tail, inPlace } = compareReads(was, bytes);
    const before = this.#records;
    const gone = before.slice(head, before.length - tail);
    const came = this.#entriesOf(bytes, head, count(bytes) - tail);
    const records = [...before.slice(0, head), ...came, ...before.slice(before.length - tail)];
    const changed = new Changes();
    // Whose records came, went, or say something other than before; of the rest only the queues do.
    const touched = new Set([...gone, ...came]);
    for (const [a, b] of inPlace) {
      const entry = records[b] as Entry;
      if (alikeButQueues(was, a, bytes, b)) changed.queues(entry, bytes, b);
      else touched.add(entry);
    }
    const [from, to] = [placesOf(touched, before), placesOf(touched, records)];
    for (const entry of touched) {
      const [old, now] = [from.get(entry) ?? [], to.get(entry) ?? []];
      const same = old.length === now.length;
      if (now.length === 0) this.#entries.delete(entry.listener.cookie);
      if (now.length === 0) changed.add(entry);
      else if (!same || !now.every((b, i) => alikeButQueues(was, old[i] ?? 0, bytes, b))) {
        changed.decode(entry, bytes, now);
      } else changed.queues(entry, bytes, now[0] ?? 0);
    }
    this.#bytes = Buffer.from(bytes);
    this.#records = records;
    if (changed.any) this.#observed = this.#patch(changed.groups);
    return this.#observed;
  }

  /**
   * What one process has now, and all others had in the read before; null: its records are in more
   * than one place (a thread with files of its own), and only a whole read tells.
   * @param bytes its records
   */
  ofProcess(pid: number, bytes: Buffer): Observed | null {
    const all = this.#bytes;
    let [first, after] = [-1, -1];
    for (let record = 0, at = AT.pid; at < all.length; record++, at += RECORD) {
      if (all.readUInt32LE(at) !== pid) continue;
      if (first >= 0 && record !== after) return null;
      if (first < 0) first = record;
      after = record + 1;
    }
    if (first < 0) first = after = count(all);
    const [before, rest] = [all.subarray(0, first * RECORD), all.subarray(after * RECORD)];
    return this.next(Buffer.concat([before, bytes, rest]));
  }

  /** Of each record from `from` up to `to`. */
  #entriesOf(bytes: Buffer, from: number, to: number): Entry[] {
    const found: Entry[] = [];
    for (let record = from; record < to; record++) {
      const cookie = bytes.readBigUInt64LE(record * RECORD + AT.cookie);
      const entry = this.#entries.get(cookie) ?? { listener: UNKNOWN, name: null };
      this.#entries.set(cookie, entry);
      found.push(entry);
    }
    return found;
  }

  /** What was observed, with the members of these groups as they are now. */
  #patch(names: ReadonlySet<string>): Observed {
    const groups = new Map(this.#observed.groups);
    const listeners: Listener[] = [];
    const members = new Map<string, Listener[]>();
    for (const name of names) members.set(name, []);
    for (const { name, listener } of this.#entries.values()) {
      listeners.push(listener);
      if (name !== null) members.get(name)?.push(listener);
    }
    for (const [name, list] of members) {
      if (list.length > 0) groups.set(name, list);
      else groups.delete(name);
    }
    return { listeners, groups };
  }
}

/** What is other than it was in one read. */
class Changes {
  /** Names of groups of which a member is. */
  readonly groups = new Set<string>();
  any = false;

  add({ name }: Entry): void {
    this.any = true;
    if (name !== null) this.groups.add(name);
  }

  decode(entry: Entry, bytes: Buffer, records: readonly number[]): void {
    this.add(entry); // it may leave a group
    entry.listener = decode(
      bytes,
      records.map((record) => record * RECORD),
    );
    entry.name = isMember(entry.listener) ? groupName(entry.listener.key) : null;
    this.add(entry);
  }

  /** Nothing but its queues may have changed. */
  queues(entry: Entry, bytes: Buffer, record: number): void {
    const { queueLength, queueLimit, halfOpen } = entry.listener;
    const now = queues(bytes, record * RECORD);
    if (
      now.queueLength === queueLength &&
      now.queueLimit === queueLimit &&
      now.halfOpen === halfOpen
    ) {
      return;
    }
    entry.listener = { ...entry.listener, ...now };
    this.add(entry);
  }
}

const count = (bytes: Buffer) => Math.floor(bytes.length / RECORD);

/** Where the records of these are among `records`. */
function placesOf(entries: ReadonlySet<Entry>, records: readonly Entry[]): Map<Entry, number[]> {
  const places = new Map<Entry, number[]>();
  if (entries.size === 0) return places;
  for (let record = 0; record < records.length; record++) {
    const entry = records[record] as Entry;
    if (!entries.has(entry)) continue;
    const found = places.get(entry);
    if (found) found.push(record);
    else places.set(entry, [record]);
  }
  return places;
}

/** How two reads differ; numbers of records. */
interface Comparison {
  /** So many at the beginning, and at the end, are of the same owners of the same listeners. */
  readonly head: number;
  readonly tail: number;
  /** Those of them that do not say the same: their numbers in the one and the other. */
  readonly inPlace: readonly (readonly [number, number])[];
}

function compareReads(a: Buffer, b: Buffer): Comparison {
  const inPlace: [number, number][] = [];
  const walk = (most: number, at: (bytes: Buffer, n: number, length: number) => number) => {
    for (let n = 0; ; n++) {
      n += equalFrom(most - n, (from, length) => {
        const [i, j] = [at(a, n + from, length), at(b, n + from, length)];
        return same(a, i, b, j, 0, length * RECORD);
      });
      if (n === most) return n;
      const [i, j] = [at(a, n, 1), at(b, n, 1)];
      if (!same(a, i, b, j, AT.cookie, AT.cookie + 8)) return n;
      if (!same(a, i, b, j, AT.pid, AT.fd + 4)) return n;
      inPlace.push([i, j]);
    }
  };
  const most = Math.min(count(a), count(b));
  const head = walk(most, (_, n) => n);
  const tail = walk(most - head, (bytes, n, length) => count(bytes) - n - length);
  return { head, tail, inPlace };
}

/** How many in a row are equal, at most `most`; asks for few and long stretches. */
function equalFrom(most: number, equal: (from: number, length: number) => boolean): number {
  let found = 0;
  let grows = true;
  for (let step = 1; found < most; ) {
    const length = Math.min(step, most - found);
    if (equal(found, length)) {
      found += length;
      step = grows ? step * 2 : Math.max(1, step >> 1);
    } else {
      if (length === 1) break;
      grows = false;
      step = length >> 1;
    }
  }
  return found;
}

/** The bytes from `from` up to `to`, counted from the beginning of a record of each. */
function same(a: Buffer, i: number, b: Buffer, j: number, from: number, to: number): boolean {
  const [x, y] = [i * RECORD, j * RECORD];
  return a.compare(b, y + from, y + to, x + from, x + to) === 0;
}

function alikeButQueues(a: Buffer, i: number, b: Buffer, j: number): boolean {
  return same(a, i, b, j, 0, QUEUES.from) && same(a, i, b, j, QUEUES.to, RECORD);
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
