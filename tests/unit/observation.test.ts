import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { LAYOUT } from "../../loader/abi.ts";
import { Observations } from "../../loader/observation.ts";

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
    const observations = new Observations();
    const first = observations.next(read({ cookie: 1n }, { cookie: 2n }));
    assert.equal(first.listeners.length, 2);
    assert.equal(observations.next(read({ cookie: 1n }, { cookie: 2n })), first);
  });

  test("a listener of several owners is one", () => {
    const { listeners } = new Observations().next(
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
    const observations = new Observations();
    const first = observations.next(read({ cookie: 1n }, { cookie: 2n, port: 81 }));
    const next = observations.next(
      read({ cookie: 3n, port: 82 }, { cookie: 1n, queue: 4 }, { cookie: 2n, port: 81 }),
    );
    const names = [...first.groups.keys()];
    assert.equal(next.groups.get(names[1] ?? ""), first.groups.get(names[1] ?? ""));
    assert.notEqual(next.groups.get(names[0] ?? ""), first.groups.get(names[0] ?? ""));
    const [was, now] = [first, next].map(({ groups }) => groups.get(names[0] ?? "")?.[0]);
    assert.equal(now?.queueLength, 4);
    assert.equal(now?.owners, was?.owners, "only its queue has changed");
  });

  test("a change is seen, whatever it is", () => {
    const observations = new Observations();
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
});
