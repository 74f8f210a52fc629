/** The hash table of sources: what is in it is found, whatever came and went. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { SOURCE_TRIES } from "../../loader/core/abi.ts";
import { groupShapes } from "../../loader/core/map_shapes.ts";
import { Sources } from "../../loader/group/sources.ts";

/** An array map of words, and the program's way to look into it. */
class Table {
  readonly words: BigUint64Array;

  constructor(entries: number) {
    this.words = new BigUint64Array(entries);
  }

  get shape() {
    return { entries: this.words.length };
  }

  update(key: number, value: Buffer): void {
    this.words[key] = value.readBigUInt64LE();
  }

  read(): Buffer {
    return Buffer.from(this.words.buffer);
  }

  /** As source_of() of select.bpf.c. */
  find(cookie: bigint): { row: number; class: number } | null {
    const folded = (cookie ^ (cookie >> 32n)) & 0xffffffffn;
    const hash = Number(((folded * 2654435769n) & 0xffffffffn) >> 16n);
    for (let i = 0; i < SOURCE_TRIES; i++) {
      const word = this.words[(hash + i) & (this.words.length - 1)] ?? 0n;
      if (word >> 16n === cookie) {
        return { row: Number(word & 0xffffn) >> 4, class: Number(word & 15n) };
      }
    }
    return null;
  }
}

test("listeners come and go, and the program finds those there are", () => {
  for (const slots of [64, 1024]) {
    const table = new Table(groupShapes(slots, 1).sources.entries);
    const sources = new Sources(table);
    // Two CPUs hand out cookies, each from a range of its own; some are large.
    const cookies = Array.from({ length: 5 * slots }, (_, i) =>
      BigInt(i % 2 === 0 ? 4096 + i : 2 ** 40 + i * 4096),
    );
    for (const [i, cookie] of cookies.entries()) {
      const gone = cookies[i - slots];
      if (gone !== undefined) sources.remove(gone);
      assert.ok(sources.set({ cookie, slot: i % slots, class: i % 16 }), `${i} of ${slots} slots`);
    }
    for (const [i, cookie] of cookies.entries()) {
      const is = i < 4 * slots ? null : { row: (i % slots) + 1, class: i % 16 };
      assert.deepEqual(table.find(cookie), is, `cookie ${i} of ${slots} slots`);
    }
  }
});

test("another class replaces the entry, and what is not kept is removed", () => {
  const table = new Table(256);
  const sources = new Sources(table);
  for (const number of [1, 2]) sources.set({ cookie: 7n, slot: 1025, class: number });
  sources.set({ cookie: 8n, slot: 3, class: 1 });
  assert.deepEqual(table.find(7n), { row: 1026, class: 2 });
  assert.deepEqual(
    sources.all().toSorted((a, b) => Number(a.cookie - b.cookie)),
    [
      { cookie: 7n, slot: 1025, class: 2 },
      { cookie: 8n, slot: 3, class: 1 },
    ],
  );
  assert.equal(table.words.filter((word) => word !== 0n).length, 2);
  sources.keep(new Set([8n]));
  assert.equal(table.find(7n), null);
  assert.deepEqual(table.find(8n), { row: 4, class: 1 });
  table.words.fill(0n);
  sources.invalidate();
  assert.ok(sources.set({ cookie: 9n, slot: 0, class: 1 }), "read again");
  assert.equal(table.words.filter((word) => word !== 0n).length, 1);
});

test("where there is no room, it says so", () => {
  const sources = new Sources(new Table(SOURCE_TRIES));
  const set = (cookie: number) => sources.set({ cookie: BigInt(cookie), slot: 0, class: 0 });
  for (let cookie = 1; cookie <= SOURCE_TRIES; cookie++) assert.ok(set(cookie));
  assert.equal(set(SOURCE_TRIES + 1), false);
});
