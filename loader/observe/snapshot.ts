/**
 * What one read of the iterator says, as plain data. Most reads say what the one before did: then
 * the same objects are given again, so that who compares them need not look into them. Pure.
 */
import { LAYOUT } from "../core/abi.ts";
import { groupName, isMember, type Listener } from "../core/listener.ts";
import { alikeButQueues, compareReads, count } from "./comparison.ts";
import { decode, queues } from "./listener_record.ts";

const RECORD = LAYOUT.rm_listener.size;
const AT = LAYOUT.rm_listener.members;

/** Who listens. */
export interface Snapshot {
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

const NOTHING: Snapshot = { listeners: [], groups: new Map() };

/** Reads, one after the other. Costs what has changed, not what there is. */
export class SnapshotReader {
  #bytes: Buffer = Buffer.alloc(0);
  /** Whose each of its records is: a listener has one of each owner. */
  #records: readonly Entry[] = [];
  readonly #entries = new Map<bigint, Entry>();
  #observed: Snapshot = NOTHING;

  /** @param bytes whole records; the caller's again afterwards */
  next(bytes: Buffer): Snapshot {
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
  ofProcess(pid: number, bytes: Buffer): Snapshot | null {
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
  #patch(names: ReadonlySet<string>): Snapshot {
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

/** Until it is identified. */
const UNKNOWN = decode(Buffer.alloc(RECORD), []);
