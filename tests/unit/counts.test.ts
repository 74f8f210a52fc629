/** What is counted, decoded: whatever the number of CPUs, and what all of it costs in memory. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { numbersIn } from "../../loader/bpf/possible_cpus.ts";
import { LAYOUT, OUTCOMES, STAGES } from "../../loader/core/abi.ts";
import { cpuCounters, groupShapes } from "../../loader/core/map_shapes.ts";
import { addWords, Counters, Counts, countsSince, wordsOf } from "../../loader/group/counters.ts";

const SLOTS = 64;
const ROWS = groupShapes(SLOTS, 1).migrations.entries;
const ROW_CELLS = LAYOUT.rm_migrations.size / 8;
const CELLS = OUTCOMES.length + SLOTS + 1;

/** A map `control`, in which each CPU has counted, and a program before: the last one of `cpus`. */
function counters(cpus: number, count: (cell: number, cpu: number) => bigint): Counters {
  const value = groupShapes(SLOTS, cpus - 1).control.value;
  const bytes = Buffer.alloc(value, 0xff);
  for (let cpu = 0; cpu < cpus; cpu++) {
    const first = LAYOUT.rm_control.members.counters + cpu * cpuCounters(SLOTS) * 8;
    for (let cell = 0; cell < CELLS; cell++) {
      bytes.writeBigUInt64LE(count(cell, cpu), first + cell * 8);
    }
  }
  return new Counters(
    { shape: { value }, readPart: (from, to) => bytes.subarray(from, to) },
    SLOTS,
  );
}

const all = (map: Counters) => map.sum(0, CELLS);

function migrations(count: (row: number, cell: number) => bigint): Buffer {
  const bytes = Buffer.alloc(ROWS * LAYOUT.rm_migrations.size);
  for (let row = 0; row < ROWS; row++) {
    for (let cell = 0; cell < ROW_CELLS; cell++) {
      bytes.writeBigUInt64LE(count(row, cell), (row * ROW_CELLS + cell) * 8);
    }
  }
  return bytes;
}

const nothing = () => 0n;

for (const cpus of [2, 3, 129, 1025]) {
  test(`${cpus - 1} CPUs: every count of every one is added up`, () => {
    const map = counters(cpus, (cell, cpu) => BigInt(cell * 10_000 + cpu));
    const counts = new Counts(all(map), wordsOf(migrations(nothing)));
    const sum = (cell: number) => cell * 10_000 * cpus + (cpus * (cpus - 1)) / 2;
    for (const [from, to] of [
      [0, 1],
      [7, 9],
      [15, 17],
      [CELLS - 1, CELLS],
    ] as const) {
      const cells = Array.from({ length: to - from }, (_, i) => sum(from + i));
      assert.deepEqual([...map.sum(from, to)], cells, `cells ${from} to ${to}`);
    }
    for (const slot of [0, 1, SLOTS - 1, SLOTS]) {
      assert.deepEqual(counts.slotCounts(slot), {
        syn: sum(OUTCOMES.length + slot),
        out: 0,
        into: 0,
      });
    }
    const decisions = counts.decisions();
    const find = (outcome: string) => decisions.find((one) => one.outcome === outcome)?.count;
    assert.equal(find("kernel"), sum(1));
    const each = Array.from({ length: SLOTS + 1 }, (_, slot) => sum(OUTCOMES.length + slot));
    const selected = each.reduce((total, count) => total + count, 0);
    assert.equal(find("selected"), selected);
    assert.equal(counts.total().syn, selected);
    assert.equal(decisions.length, OUTCOMES.length, "nothing migrated");
  });
}

test("slots that were never used may be left out; the standby's row is the last in any case", () => {
  const used = 8;
  const size = LAYOUT.rm_migrations.size;
  // Rows of slots that were never used are 0.
  const isUsed = (slot: number) => slot < used || slot === SLOTS;
  const map = counters(2, (cell) =>
    cell < OUTCOMES.length || isUsed(cell - OUTCOMES.length) ? BigInt(cell + 1) : 0n,
  );
  const rows = migrations((row, cell) =>
    row === 0 || isUsed(row - 1) ? BigInt(row * 100 + cell) : 0n,
  );
  const whole = new Counts(all(map), wordsOf(rows));
  const some = new Counts(
    Float64Array.from([...map.sum(0, OUTCOMES.length + used), ...map.sum(CELLS - 1, CELLS)]),
    wordsOf(
      Buffer.concat([rows.subarray(0, (1 + used) * size), rows.subarray((1 + SLOTS) * size)]),
    ),
  );
  for (const slot of [0, used - 1, SLOTS])
    assert.deepEqual(some.slotCounts(slot), whole.slotCounts(slot));
  assert.notEqual(some.slotCounts(SLOTS).into, 0);
  assert.deepEqual(some.total(), whole.total());
  assert.deepEqual(some.decisions(true), whole.decisions(true));
});

test("counts beyond 32 bits are whole", () => {
  const large = 2n ** 45n + 3n;
  const bytes = Buffer.alloc(24);
  bytes.writeBigUInt64LE(large, 8);
  bytes.writeBigUInt64LE(2n ** 32n, 16);
  assert.deepEqual([...wordsOf(bytes)], [0, Number(large), 2 ** 32]);
  const sums = wordsOf(bytes);
  assert.deepEqual([...addWords(sums, bytes)], [0, 2 * Number(large), 2 ** 33]);
  addWords(sums, bytes.subarray(8, 16), 2);
  assert.deepEqual([...sums], [0, 2 * Number(large), 2 ** 33 + Number(large)]);
  assert.deepEqual([...wordsOf(bytes.subarray(8))], [Number(large), 2 ** 32], "wherever they are");
});

test("every cell of a row is one decision; migrations are what was selected and received", () => {
  const counts = new Counts(
    all(counters(2, nothing)),
    wordsOf(migrations((row, cell) => (row < 2 ? BigInt(cell + 1) : 0n))),
  );
  const decisions = counts.decisions();
  assert.equal(decisions.length, (STAGES.length - 1) * OUTCOMES.length);
  assert.deepEqual(decisions[0], { stage: "accept_queue", outcome: "selected", count: 2 });
  assert.deepEqual(decisions.at(-1), {
    stage: "handshake_timer",
    outcome: "dropped",
    reason: "settings",
    count: 54,
  });
  const row = { syn: 0, out: 1 + 10 + 19, into: 28 + 29 + 30 };
  assert.deepEqual(counts.slotCounts(0), row);
  assert.deepEqual(counts.slotCounts(1), { syn: 0, out: 0, into: 0 });
  assert.deepEqual(counts.total(), { syn: 0, out: 2 * row.out, into: 2 * row.into });
  assert.deepEqual(countsSince(row, row), { syn: 0, out: 0, into: 0 });
  assert.equal(counts.decisions(true).length, STAGES.length * OUTCOMES.length);
});

test("CPUs are counted by the highest number there may be", () => {
  assert.equal(numbersIn("0-1\n"), 2);
  assert.equal(numbersIn("0\n"), 1);
  assert.equal(numbersIn("0-3,8-11\n"), 12);
  assert.throws(() => numbersIn("\n"), /names no CPU/);
});
