/**
 * Records of the listeners iterator: successive reads give the same snapshot as the last read alone,
 * whatever is in them.
 */
import assert from "node:assert/strict";
import { LAYOUT } from "../../loader/core/abi.ts";
import type { Listener } from "../../loader/core/listener.ts";
import { type Snapshot, SnapshotReader } from "../../loader/observe/snapshot.ts";
import { printable } from "../../loader/printable.ts";
import type { Random } from "../helpers/random.ts";
import { fuzz } from "./fuzz.ts";
import { mutateBytes } from "./mutate.ts";

const { size } = LAYOUT.rm_listener;
const COMMS = ["nginx", "\u001b[2J", "é", "\u202e", "", "x".repeat(15)];

/** Returns a record as the kernel writes it, of few cookies, pids and ports, so that they meet. */
function record(random: Random): Buffer {
  const bytes = LAYOUT.rm_listener.encode({
    cookie: BigInt(1 + random.below(6)),
    group: BigInt(random.below(3)),
    start_ns: random.big(),
    pid: 1 + random.below(4),
    fd: random.below(10),
    netns: random.pick([1, 4026531840]),
    uid: random.pick([0, 65534]),
    prog_id: random.below(3),
    ifindex: random.below(2),
    queue_length: random.number(),
    queue_limit: random.number(),
    half_open: random.number(),
    family: random.pick([2, 10, 10, 0]),
    port: random.pick([80, 443, 0, 65535]),
    protocol: random.pick([6, 17, 262, 0]),
    group_size: random.number() & 0xffff,
    reuseport: random.oneIn(2),
    v6only: random.oneIn(2),
    has_prog: random.oneIn(2),
    sockarray: random.oneIn(9),
    keyed: random.oneIn(9),
    incoming_cpu: random.below(4),
    addr: random.oneIn(2) ? Buffer.alloc(16) : random.bytes(16),
    comm: random.pick(COMMS),
  });
  return random.oneIn(4) ? mutateBytes(random, bytes) : bytes;
}

/** Reads of the host, and of one process after each. */
interface Read {
  readonly host: Buffer;
  readonly pid: number;
  readonly process: Buffer;
}

function reads(random: Random): Read[] {
  const known = random.list(8, () => record(random));
  const some = () => {
    const kept = known.filter(() => !random.oneIn(4)).map((it) => Buffer.from(it));
    for (const it of kept) if (random.oneIn(5)) mutateBytes(random, it);
    const added = random.list(2, () => record(random));
    const bytes = Buffer.concat([...kept, ...added]);
    // As if the kernel, or another version of the program, had written half a record.
    return random.oneIn(40) ? bytes.subarray(0, random.below(bytes.length + 1)) : bytes;
  };
  return Array.from({ length: 1 + random.below(4) }, () => ({
    host: random.oneIn(30) ? random.bytes(random.below(3) * size) : some(),
    pid: 1 + random.below(4),
    process: Buffer.concat(random.list(2, () => record(random))),
  }));
}

const byCookie = (listeners: readonly Listener[]) =>
  listeners.toSorted((a, b) => (a.cookie < b.cookie ? -1 : 1));

/** Returns what a snapshot says, in an order of its own. */
const said = ({ listeners, groups, queues }: Snapshot) => ({
  listeners: byCookie(listeners),
  groups: [...groups].map(([name, members]) => [name, byCookie(members)] as const).toSorted(),
  queues: [...queues].toSorted(([a], [b]) => (a < b ? -1 : 1)),
});

/** Returns the records of a read of one process, in their place among all others. */
function withProcess(all: Buffer, { pid, process }: Read): Buffer {
  const at = LAYOUT.rm_listener.members.pid;
  const records = Array.from({ length: all.length / size }, (_, i) =>
    all.subarray(i * size, (i + 1) * size),
  );
  const first = records.findIndex((it) => it.readUInt32LE(at) === pid);
  const isOther = (it: Buffer) => it.readUInt32LE(at) !== pid;
  const [before, after] =
    first < 0 ? [records, []] : [records.slice(0, first), records.slice(first)];
  return Buffer.concat([...before, process, ...after.filter(isOther)]);
}

fuzz("iterator records", {
  make: reads,
  outcomes: ["snapshots", "refused"],
  check(input) {
    const reader = new SnapshotReader();
    for (const read of input) {
      if (read.host.length % size !== 0) {
        assert.throws(() => reader.next(read.host), /^Error: the listeners cannot be read: .*; /);
        return "refused";
      }
      const snapshot = reader.next(read.host);
      assert.deepEqual(said(snapshot), said(new SnapshotReader().next(read.host)));
      for (const { owners } of snapshot.listeners) {
        for (const { comm } of owners) assert.equal(comm, printable(comm));
      }
      const after = reader.ofProcess(read.pid, read.process);
      if (after === null) continue;
      const expected = new SnapshotReader().next(withProcess(read.host, read));
      assert.deepEqual(said(after), said(expected));
    }
    return "snapshots";
  },
});
