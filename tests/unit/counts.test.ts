/** What is counted, decoded: whatever the number of CPUs, and what all of it costs in memory. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { groupEntries, LAYOUT, OUTCOMES, STAGES } from "../../loader/abi.ts";
import { Counts, since, sumWords } from "../../loader/counts.ts";

const SLOTS = 64;
const ENTRIES = groupEntries(SLOTS);
const ROW_CELLS = LAYOUT.rm_migrations.size / 8;

/** `counters` as the kernel gives it: entry by entry, of each the word of every CPU. */
function counters(cpus: number, count: (entry: number, cpu: number) => bigint): Buffer {
  const bytes = Buffer.alloc(ENTRIES.counters * cpus * 8);
  for (let entry = 0; entry < ENTRIES.counters; entry++) {
    for (let cpu = 0; cpu < cpus; cpu++) {
      bytes.writeBigUInt64LE(count(entry, cpu), (entry * cpus + cpu) * 8);
    }
  }
  return bytes;
}

function migrations(count: (row: number, cell: number) => bigint): Buffer {
  const bytes = Buffer.alloc(ENTRIES.migrations * LAYOUT.rm_migrations.size);
  for (let row = 0; row < ENTRIES.migrations; row++) {
    for (let cell = 0; cell < ROW_CELLS; cell++) {
      bytes.writeBigUInt64LE(count(row, cell), (row * ROW_CELLS + cell) * 8);
    }
  }
  return bytes;
}

const nothing = () => 0n;

for (const cpus of [1, 2, 128, 1024]) {
  test(`${cpus} CPUs: every count of every one is added up`, () => {
    const syn = counters(cpus, (entry, cpu) => BigInt(entry * 10_000 + cpu));
    const counts = new Counts(syn, migrations(nothing), cpus);
    const sum = (entry: number) => BigInt(entry * 10_000 * cpus + (cpus * (cpus - 1)) / 2);
    for (const slot of [0, 1, SLOTS - 1, SLOTS]) {
      assert.deepEqual(counts.row(slot), { syn: sum(OUTCOMES.length + slot), out: 0n, into: 0n });
    }
    const decisions = counts.decisions();
    const find = (outcome: string) => decisions.find((one) => one.outcome === outcome)?.count;
    assert.equal(find("kernel"), sum(1));
    const all = Array.from({ length: SLOTS + 1 }, (_, slot) => sum(OUTCOMES.length + slot));
    const selected = all.reduce((total, count) => total + count, 0n);
    assert.equal(find("selected"), selected);
    assert.equal(counts.total().syn, selected);
    assert.equal(decisions.length, OUTCOMES.length, "nothing migrated");
  });
}

test("slots that were never used may be left out; the standby's row is the last in any case", () => {
  const used = 8;
  const cpus = 2;
  const size = LAYOUT.rm_migrations.size;
  // Rows of slots that were never used are 0.
  const isUsed = (slot: number) => slot < used || slot === SLOTS;
  const syn = counters(cpus, (entry) =>
    entry < OUTCOMES.length || isUsed(entry - OUTCOMES.length) ? BigInt(entry + 1) : 0n,
  );
  const all = migrations((row, cell) =>
    row === 0 || isUsed(row - 1) ? BigInt(row * 100 + cell) : 0n,
  );
  const whole = new Counts(syn, all, cpus);
  const some = new Counts(
    Buffer.concat([
      syn.subarray(0, (OUTCOMES.length + used) * cpus * 8),
      syn.subarray((OUTCOMES.length + SLOTS) * cpus * 8),
    ]),
    Buffer.concat([all.subarray(0, (1 + used) * size), all.subarray((1 + SLOTS) * size)]),
    cpus,
  );
  for (const slot of [0, used - 1, SLOTS]) assert.deepEqual(some.row(slot), whole.row(slot));
  assert.notEqual(some.row(SLOTS).into, 0n);
  assert.deepEqual(some.total(), whole.total());
  assert.deepEqual(some.decisions(true), whole.decisions(true));
});

test("counts beyond 32 bits are whole", () => {
  const large = 2n ** 45n + 3n;
  const bytes = Buffer.alloc(24);
  bytes.writeBigUInt64LE(large, 8);
  bytes.writeBigUInt64LE(2n ** 32n, 16);
  assert.deepEqual([...sumWords(bytes)], [0, Number(large), 2 ** 32]);
  assert.deepEqual([...sumWords(bytes, 3)], [Number(large) + 2 ** 32]);
  assert.deepEqual([...sumWords(bytes.subarray(8))], [Number(large), 2 ** 32], "wherever they are");
});

test("every cell of a row is one decision; migrations are what was selected and received", () => {
  const counts = new Counts(
    counters(2, nothing),
    migrations((row, cell) => (row < 2 ? BigInt(cell + 1) : 0n)),
    2,
  );
  const decisions = counts.decisions();
  assert.equal(decisions.length, (STAGES.length - 1) * OUTCOMES.length);
  assert.deepEqual(decisions[0], { stage: "accept_queue", outcome: "selected", count: 2n });
  assert.deepEqual(decisions.at(-1), {
    stage: "handshake_timer",
    outcome: "dropped",
    reason: "settings",
    count: 54n,
  });
  const row = { syn: 0n, out: 1n + 10n + 19n, into: 28n + 29n + 30n };
  assert.deepEqual(counts.row(0), row);
  assert.deepEqual(counts.row(1), { syn: 0n, out: 0n, into: 0n });
  assert.deepEqual(counts.total(), { syn: 0n, out: 2n * row.out, into: 2n * row.into });
  assert.deepEqual(since(row, row), { syn: 0n, out: 0n, into: 0n });
  assert.equal(counts.decisions(true).length, STAGES.length * OUTCOMES.length);
});
