import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { isDeepStrictEqual } from "node:util";
import { LAYOUT } from "../../loader/core/abi.ts";
import type { Listener } from "../../loader/core/listener.ts";
import { type Snapshot, SnapshotReader } from "../../loader/observe/snapshot.ts";

const { size, members: at } = LAYOUT.rm_listener;

interface Fields {
  cookie: bigint;
  pid?: number;
  fd?: number;
  port?: number;
  queue?: number;
  program?: number;
}

function record({ cookie, pid = 7, fd = 3, port = 80, queue = 0, program }: Fields): Buffer {
  const out = Buffer.alloc(size);
  out.writeBigUInt64LE(cookie, at.cookie);
  out.writeBigUInt64LE(1n, at.group);
  out.writeUInt32LE(pid, at.pid);
  out.writeUInt32LE(fd, at.fd);
  out.writeUInt16LE(2, at.family);
  out.writeUInt16LE(port, at.port);
  out.writeUInt16LE(6, at.protocol);
  out.writeUInt32LE(queue, at.queue_length);
  if (program !== undefined) {
    out.writeUInt8(1, at.has_prog);
    out.writeUInt32LE(program, at.prog_id);
  }
  out.write("server", at.comm);
  return out;
}

const read = (...fields: Fields[]) => Buffer.concat(fields.map(record));

describe("reads one after the other", () => {
  test("the same bytes are the same object", () => {
    const observations = new SnapshotReader();
    const first = observations.next(read({ cookie: 1n }, { cookie: 2n }));
    assert.equal(first.listeners.length, 2);
    assert.equal(observations.next(read({ cookie: 1n }, { cookie: 2n })), first);
  });

  test("half a record is refused, and the next read is as if it had not been", () => {
    const observations = new SnapshotReader();
    const first = observations.next(read({ cookie: 1n }));
    const half = read({ cookie: 1n }, { cookie: 2n }).subarray(0, size + 16);
    assert.throws(() => observations.next(half), /the listeners cannot be read: .* 1\d\d bytes/);
    assert.throws(() => observations.ofProcess(7, half), /the listeners cannot be read/);
    assert.equal(observations.next(read({ cookie: 1n })), first);
  });

  test("a listener of several owners is one", () => {
    const { listeners } = new SnapshotReader().next(
      read({ cookie: 1n, pid: 7 }, { cookie: 2n, pid: 7 }, { cookie: 1n, pid: 8 }),
    );
    assert.deepEqual(
      listeners.map(({ cookie, owners }) => [cookie, owners.map(({ pid }) => pid)]),
      [
        [1n, [7, 8]],
        [2n, [7]],
      ],
    );
  });

  test("a group in which nothing changed is the same array, wherever its records are now", () => {
    const observations = new SnapshotReader();
    const first = observations.next(read({ cookie: 1n }, { cookie: 2n, port: 81 }));
    const next = observations.next(
      read({ cookie: 3n, port: 82 }, { cookie: 1n, queue: 4 }, { cookie: 2n, port: 81 }),
    );
    const names = [...first.groups.keys()];
    assert.equal(next.groups.get(names[1] ?? ""), first.groups.get(names[1] ?? ""));
    assert.equal(next.groups.get(names[0] ?? ""), first.groups.get(names[0] ?? ""));
    assert.deepEqual(
      [first, next].map(({ queues }) => queues.get(1n)?.length),
      [0, 4],
    );
    assert.equal(next.queues.get(2n), first.queues.get(2n));
    assert.equal(next.groups.size, 3);
  });

  test("queues are no part of a listener: when only they change, all else is the same object", () => {
    const observations = new SnapshotReader();
    const first = observations.next(read({ cookie: 1n }, { cookie: 2n }));
    const next = observations.next(read({ cookie: 1n }, { cookie: 2n, queue: 3 }));
    assert.notEqual(next, first);
    assert.equal(next.listeners, first.listeners);
    assert.equal(next.groups, first.groups);
    assert.equal(next.queues.get(1n), first.queues.get(1n));
    assert.deepEqual(first.queues.get(2n), { length: 0, limit: 0, halfOpen: 0 });
    assert.deepEqual(next.queues.get(2n), { length: 3, limit: 0, halfOpen: 0 });
    assert.equal(observations.next(read()).queues.size, 0);
  });

  test("a change is seen, whatever it is", () => {
    const observations = new SnapshotReader();
    const [first] = observations.next(read({ cookie: 1n })).listeners;
    const [attached] = observations.next(read({ cookie: 1n, program: 5 })).listeners;
    assert.deepEqual([first?.programId, attached?.programId], [null, 5]);
    const [inherited] = observations.next(
      read({ cookie: 1n, program: 5 }, { cookie: 1n, program: 5, pid: 8 }),
    ).listeners;
    assert.equal(inherited?.owners.length, 2);
    assert.equal(observations.next(read()).listeners.length, 0);
    assert.equal(observations.next(read({ cookie: 1n })).groups.size, 1);
  });

  test("a listener that moved to the middle of others changes nothing", () => {
    const observations = new SnapshotReader();
    const [a, b, c] = [{ cookie: 1n }, { cookie: 2n, port: 81 }, { cookie: 3n, port: 82 }];
    const first = observations.next(read(a, b, c));
    assert.equal(observations.next(read(b, a, c)), first);
  });

  test("a read of one process changes what that one has, and nothing else", () => {
    const observations = new SnapshotReader();
    const others = [
      { cookie: 1n, pid: 7, port: 81 },
      { cookie: 2n, pid: 9, port: 82 },
    ];
    const [a, b] = others as [Fields, Fields];
    const first = observations.next(read(a, { cookie: 3n, pid: 8 }, b));
    assert.equal(observations.ofProcess(8, read({ cookie: 3n, pid: 8 })), first);
    const opened = [
      { cookie: 3n, pid: 8 },
      { cookie: 4n, pid: 8, port: 81 },
    ];
    const next = observations.ofProcess(8, read(...opened));
    assert.ok(next);
    assert.deepEqual(sorted(next), sorted(new SnapshotReader().next(read(a, ...opened, b))));
    const untouched = first.groups.get("0-ipv4-0_0_0_0-82");
    assert.equal(untouched?.length, 1);
    assert.equal(next.groups.get("0-ipv4-0_0_0_0-82"), untouched);
    const came = observations.ofProcess(5, read({ cookie: 5n, pid: 5 }));
    assert.equal(came?.listeners.length, 5, "of a process that had none");
    assert.equal(
      observations.next(read({ cookie: 5n, pid: 5 }, a, ...opened, b)),
      came,
      "wherever it was put",
    );
  });

  test("of a listener that its last owner no longer has, only a whole read tells", () => {
    const observations = new SnapshotReader();
    const shared = { cookie: 2n, pid: 9, port: 81 };
    const first = observations.next(read({ cookie: 1n, pid: 8 }, { ...shared, pid: 8 }, shared));
    // A server that becomes a daemon: its child, which was not read yet, has the listener.
    assert.equal(observations.ofProcess(8, read()), null);
    assert.equal(observations.ofProcess(8, read({ ...shared, pid: 8 })), null);
    const left = observations.ofProcess(8, read({ cookie: 1n, pid: 8 }));
    assert.equal(left?.listeners.length, 2);
    assert.deepEqual(
      left?.listeners.map(({ owners }) => owners.map(({ pid }) => pid)),
      [[8], [9]],
    );
    assert.notEqual(left, first);
  });

  test("of a process whose records are in two places only a whole read tells", () => {
    const observations = new SnapshotReader();
    const bytes = read({ cookie: 1n, pid: 8 }, { cookie: 2n, pid: 9 }, { cookie: 3n, pid: 8 });
    const first = observations.next(bytes);
    assert.equal(observations.ofProcess(8, read()), null);
    assert.equal(observations.next(bytes), first);
  });

  test("after any changes it says what a first read would", () => {
    const random = numbers(20_261_125);
    for (let run = 0; run < 200; run++) {
      const observations = new SnapshotReader();
      let fields: Fields[] = [];
      let before = observations.next(read());
      for (let step = 0; step < 12; step++) {
        fields = changed(fields, random);
        const bytes = read(...fields);
        const now = observations.next(bytes);
        assert.deepEqual(sorted(now), sorted(new SnapshotReader().next(bytes)));
        assertIdentity(before, now);
        before = now;
      }
    }
  });
});

/** Pseudo-random numbers from 0 up to `below`. */
function numbers(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0;
    return (state >>> 8) % below;
  };
}

/** A few records come, go, move, or say something else. */
function changed(fields: readonly Fields[], random: (below: number) => number): Fields[] {
  const next = [...fields];
  for (let i = random(5); i >= 0; i--) {
    const at = random(next.length + 1);
    const [old] = next.slice(at, at + 1);
    const cookie = BigInt(1 + random(6));
    const one = { cookie, pid: 7 + random(2), fd: random(40), port: 80 + Number(cookie % 3n) };
    const what = random(5);
    if (what === 0 || !old) next.splice(at, 0, one);
    else if (what === 1) next.splice(at, 1);
    else if (what === 2) next[at] = { ...old, queue: random(3) };
    else if (what === 3) next[at] = { ...old, program: random(3) };
    else next.push(...next.splice(at, 1));
  }
  // The iterator gives an owner's file descriptor once, and all records of a listener say the same.
  const once = new Map(next.map((one) => [`${one.cookie} ${one.pid} ${one.fd}`, one]));
  const ofListener = new Map(next.map((one) => [one.cookie, one]));
  return [...once.values()].map(({ cookie, pid, fd }) => {
    const owner = { pid, fd } as Pick<Required<Fields>, "pid" | "fd">;
    return { ...(ofListener.get(cookie) as Fields), ...owner };
  });
}

/** What did not change is the same object, what did is another one. */
function assertIdentity(before: Snapshot, now: Snapshot): void {
  const [was, is] = [before, now].map(
    ({ listeners }) => new Map(listeners.map((l) => [l.cookie, l])),
  );
  for (const [cookie, listener] of is ?? []) {
    const same = isDeepStrictEqual(listener, was?.get(cookie));
    assert.equal(listener === was?.get(cookie), same, `listener ${cookie}`);
  }
  for (const name of new Set([...before.groups.keys(), ...now.groups.keys()])) {
    const [old = [], members = []] = [before.groups.get(name), now.groups.get(name)];
    const same = old.length === members.length && members.every((member) => old.includes(member));
    assert.equal(before.groups.get(name) === now.groups.get(name), same, `group ${name}`);
  }
  for (const [cookie, queues] of now.queues) {
    const old = before.queues.get(cookie);
    const same = isDeepStrictEqual(queues, old);
    // The queues of a listener that changed may be a new object.
    if (is?.get(cookie) === was?.get(cookie))
      assert.equal(queues === old, same, `queues ${cookie}`);
  }
}

function sorted({ listeners, groups, queues }: Snapshot) {
  const order = (all: readonly Listener[]) => all.toSorted((a, b) => Number(a.cookie - b.cookie));
  const names = [...groups.keys()].toSorted();
  return [order(listeners), names.map((name) => [name, order(groups.get(name) ?? [])]), queues];
}
