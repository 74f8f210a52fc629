/**
 * Snapshots of every listener of the host, from successive reads of the iterator. Listeners and
 * groups that did not change stay the same objects, so consumers compare them by identity. Pure.
 */
import { LAYOUT } from "../core/abi.ts";
import {
  groupName,
  isMember,
  type Listener,
  NO_QUEUES,
  type Queues,
  type QueuesByCookie,
} from "../core/listener.ts";
import { decodeListener, decodeQueues } from "./listener_record.ts";

const { size: RECORD, members: AT } = LAYOUT.rm_listener;
const WORD = Uint32Array.BYTES_PER_ELEMENT;
/** The words of a record that hold the queues. */
const QUEUE_WORDS = { from: AT.queue_length / WORD, to: AT.half_open / WORD + 1 } as const;

/** Before it is decoded. */
const UNKNOWN = decodeListener(Buffer.alloc(RECORD), []);

/** One read of the iterator. */
export interface Snapshot {
  /** Each listener once, with all its owners. */
  readonly listeners: readonly Listener[];
  /** Members of each group by its name: a new array exactly when one came, left or changed. */
  readonly groups: ReadonlyMap<string, readonly Listener[]>;
  readonly queues: QueuesByCookie;
}

/** A listener from its first read to its last. */
class Entry {
  listener = UNKNOWN;
  /** Name of its group; null: it is in none. */
  group: string | null = null;
  queues = NO_QUEUES;
  /**
   * Offsets of its records, one for each file descriptor on it, in the last read and the one
   * before.
   */
  offsets: number[] = [];
  before: number[] = [];
  /** Number of the last read that contains it. */
  read = 0;
}

/** Turns successive reads into snapshots; decodes only what changed (bench row 11). */
export class SnapshotReader {
  #bytes: Buffer = Buffer.alloc(0);
  #reads = 0;
  readonly #entries = new Map<bigint, Entry>();
  #snapshot: Snapshot = { listeners: [], groups: new Map(), queues: new Map() };

  /**
   * Returns the snapshot of a read; the same object as before if it says the same.
   * @param read whole records; the caller may overwrite them afterwards
   * @throws Error if they are not; the reader stays as it was
   */
  next(read: Buffer): Snapshot {
    if (read.equals(this.#bytes)) return this.#snapshot;
    requireWhole(read);
    // Not from the pool: that memory need not be aligned.
    const bytes = Buffer.allocUnsafeSlow(read.length);
    read.copy(bytes);
    const [was, now] = [wordsOf(this.#bytes), wordsOf(bytes)];
    this.#locate(bytes);
    this.#bytes = bytes;
    const changedGroups = new Set<string | null>();
    let queuesChanged = false;
    for (const [cookie, entry] of this.#entries) {
      if (entry.read !== this.#reads) {
        this.#entries.delete(cookie);
        changedGroups.add(entry.group);
        continue;
      }
      const change = changeOf(entry, was, now);
      if (change === "none") continue;
      entry.queues = decodeQueues(bytes, entry.offsets[0] ?? 0);
      queuesChanged = true;
      if (change === "queues") continue;
      changedGroups.add(entry.group); // it may leave that one
      entry.listener = decodeListener(bytes, entry.offsets);
      entry.group = isMember(entry.listener) ? groupName(entry.listener.key) : null;
      changedGroups.add(entry.group);
    }
    if (changedGroups.size > 0) this.#snapshot = this.#withListeners(changedGroups);
    else if (queuesChanged) this.#snapshot = { ...this.#snapshot, queues: this.#queues() };
    return this.#snapshot;
  }

  /**
   * Returns a snapshot in which one process has the listeners of `read` and every other process
   * those of the last read; null if only a whole read can tell: the records of the process are in
   * more than one place (a thread with its own file table), or a listener would have no owner.
   * @param read records of the process, as for {@link next}
   */
  ofProcess(pid: number, read: Buffer): Snapshot | null {
    const all = this.#bytes;
    let [from, to] = [-1, -1];
    for (let at = 0; at < all.length; at += RECORD) {
      if (all.readUInt32LE(at + AT.pid) !== pid) continue;
      if (from >= 0 && at !== to) return null;
      if (from < 0) from = at;
      to = at + RECORD;
    }
    if (from < 0) from = to = all.length;
    if (this.#wouldLose(from, to, read)) return null;
    return this.next(Buffer.concat([all.subarray(0, from), read, all.subarray(to)]));
  }

  /**
   * Returns whether a listener has records from `from` to `to` only, and none in `read`. It need not
   * have closed: a server that becomes a daemon listens, forks and exits, and a process that was
   * not read yet has the listener.
   */
  #wouldLose(from: number, to: number, read: Buffer): boolean {
    const kept = new Set<bigint>();
    for (let at = 0; at + RECORD <= read.length; at += RECORD) {
      kept.add(read.readBigUInt64LE(at + AT.cookie));
    }
    const isOurs = (offset: number) => offset >= from && offset < to;
    for (let at = from; at < to; at += RECORD) {
      const cookie = this.#bytes.readBigUInt64LE(at + AT.cookie);
      if (!kept.has(cookie) && this.#entries.get(cookie)?.offsets.every(isOurs)) return true;
    }
    return false;
  }

  /** Notes where the records of each listener are. */
  #locate(bytes: Buffer): void {
    const read = ++this.#reads;
    for (let at = 0; at < bytes.length; at += RECORD) {
      const cookie = bytes.readBigUInt64LE(at + AT.cookie);
      let entry = this.#entries.get(cookie);
      if (entry === undefined) {
        entry = new Entry();
        this.#entries.set(cookie, entry);
      }
      if (entry.read !== read) {
        entry.read = read;
        entry.before = entry.offsets;
        entry.offsets = [];
      }
      entry.offsets.push(at);
    }
  }

  #withListeners(changedGroups: ReadonlySet<string | null>): Snapshot {
    const listeners: Listener[] = [];
    const changed = new Map<string, Listener[]>();
    for (const { listener, group } of this.#entries.values()) {
      listeners.push(listener);
      if (group === null || !changedGroups.has(group)) continue;
      const members = changed.get(group);
      if (members) members.push(listener);
      else changed.set(group, [listener]);
    }
    const groups = new Map([...this.#snapshot.groups, ...changed]);
    for (const name of changedGroups) if (name !== null && !changed.has(name)) groups.delete(name);
    return { listeners, groups, queues: this.#queues() };
  }

  #queues(): QueuesByCookie {
    const found = new Map<bigint, Queues>();
    for (const [cookie, { queues }] of this.#entries) found.set(cookie, queues);
    return found;
  }
}

function requireWhole({ length }: Buffer): void {
  if (length % RECORD === 0) return;
  throw new Error(
    `the listeners cannot be read: the kernel returned ${length} bytes, which are no whole records of ${RECORD}; install the program and its BPF objects again`,
  );
}

/** What of a listener differs between two reads. */
type Change = "none" | "queues" | "listener";

/** Compares the records of a listener in the words of the read before and of this one. */
function changeOf({ before, offsets }: Entry, was: Uint32Array, now: Uint32Array): Change {
  if (before.length !== offsets.length) return "listener";
  let change: Change = "none";
  for (let n = 0; n < offsets.length; n++) {
    const from = (before[n] ?? 0) / WORD;
    const to = (offsets[n] ?? 0) / WORD;
    for (let word = 0; word < RECORD / WORD; word++) {
      if (was[from + word] === now[to + word]) continue;
      if (word < QUEUE_WORDS.from || word >= QUEUE_WORDS.to) return "listener";
      change = "queues";
    }
  }
  return change;
}

const wordsOf = ({ buffer, byteOffset, length }: Buffer) =>
  new Uint32Array(buffer, byteOffset, length / WORD);
