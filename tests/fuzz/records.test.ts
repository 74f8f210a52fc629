/**
 * Pinned records of random content: each is decoded to values that can be used, planned with, and
 * written again.
 */
import assert from "node:assert/strict";
import {
  decodeAdoption,
  decodeCounts,
  encodeAdoption,
  encodeCounts,
} from "../../loader/adoption/adoption_record.ts";
import { LAYOUT, MAX_CLASSES } from "../../loader/core/abi.ts";
import { groupName } from "../../loader/core/listener.ts";
import { cpuCounters } from "../../loader/core/map_shapes.ts";
import { makePlan, slotsNow } from "../../loader/core/plan.ts";
import type { Policy, Seen } from "../../loader/core/slot.ts";
import { rolesOf } from "../../loader/core/targets.ts";
import { Counters, Counts, MIGRATION_CELLS, wordsOf } from "../../loader/group/counters.ts";
import { decodeGroup, encodeGroup } from "../../loader/group/group_record.ts";
import {
  addEnded,
  decodeHoldCounts,
  decodeStandby,
  encodeHoldCounts,
  encodeStandby,
} from "../../loader/group/hold_record.ts";
import {
  decodeControl,
  encodeControl,
  encodePlan,
  NO_PROBE,
} from "../../loader/group/plan_codec.ts";
import { decodeSlot, encodeSlot, type SlotRecord } from "../../loader/group/slots.ts";
import { Sources } from "../../loader/group/sources.ts";
import type { Random } from "../helpers/random.ts";
import { fuzz } from "./fuzz.ts";
import { mutateBytes } from "./mutate.ts";

const SLOTS = 64;

/** A record's bytes, its decoder, and its encoder. */
const RECORDS: Readonly<Record<string, (bytes: Buffer) => void>> = {
  rm_group: twice(
    decodeGroup,
    (record) => {
      assert.match(groupName(record.key), /^\d+-ipv[46]-[0-9a-f_:]+-\d+(-dev\d+)?(-v6only)?$/);
      return encodeGroup({ ...record, attachments: record.attachments + 1 });
    },
    ["abiVersion", "attachments"],
  ),
  rm_standby: twice(decodeStandby, (record) => {
    for (const value of Object.values(record.options)) assert.match(value, /^([0-9a-f]{2})+$/);
    return encodeStandby(record);
  }),
  rm_hold_counts: twice(decodeHoldCounts, (holds) => {
    encodeHoldCounts(addEnded({ ...holds, started: holds.started + 1 }, "expired", 3_600_000));
    return encodeHoldCounts(holds);
  }),
  rm_slot: twice(
    (bytes) => decodeSlot(bytes, 0),
    (slot) => (slot === null ? Buffer.alloc(LAYOUT.rm_slot.size) : encodeSlot(slot)),
  ),
  rm_control: (bytes) => {
    const { active, probe } = decodeControl(bytes);
    assert.ok(active === 0 || active === 1);
    assert.ok(probe.port <= 65535 && probe.slot <= 65535);
  },
  rm_adoption: twice(decodeAdoption, encodeAdoption),
  rm_adopted_port: twice(
    (bytes) => decodeCounts(Buffer.from([1, 2]), bytes),
    (counts) => encodeCounts({ ...counts, binds: counts.binds + 1 }),
    ["binds"],
  ),
  rm_move_report: (bytes) => {
    const { pending, wakeups } = LAYOUT.rm_move_report.decode(bytes);
    LAYOUT.rm_move_report.encode({ pending, wakeups: wakeups + 1 });
  },
};

/** Returns a check that a record, encoded again, decodes to the same, except for some members. */
function twice<T>(
  decode: (bytes: Buffer) => T,
  encode: (value: T) => Buffer,
  except: readonly string[] = [],
): (bytes: Buffer) => void {
  // Text that is not UTF-8 is decoded with U+FFFD, which takes more room.
  const isLossy = (member: unknown) => typeof member === "string" && member.includes("\ufffd");
  const kept = (value: T) =>
    Object.fromEntries(
      Object.entries(value ?? {}).filter(([key, it]) => !except.includes(key) && !isLossy(it)),
    );
  return (bytes) => {
    const value = decode(bytes);
    assert.deepEqual(kept(decode(encode(value))), kept(value));
  };
}

const JSONS = [
  '{"SO_LINGER":"01"}',
  "{",
  "[]",
  "null",
  "7",
  '{"a":{}}',
  '{"TCP_CORK":"zz"}',
  '"x"',
];

/** Returns bytes of a record: zeros, noise, or text that is meant to be JSON, then changed. */
function bytesOf(random: Random, name: string): Buffer {
  const { size, members } = LAYOUT[name as keyof typeof LAYOUT];
  const bytes = random.oneIn(9) ? random.bytes(size) : Buffer.alloc(size);
  if (name === "rm_standby" && !random.oneIn(3)) {
    bytes.write(`${random.pick(JSONS)}\0`, (members as { options: number }).options);
    if (random.oneIn(2)) return bytes;
  }
  return mutateBytes(random, bytes);
}

fuzz("pinned records", {
  make(random) {
    const name = random.pick(Object.keys(RECORDS));
    return { name, bytes: bytesOf(random, name) };
  },
  outcomes: ["decoded"],
  check({ name, bytes }) {
    RECORDS[name]?.(bytes);
    return "decoded";
  },
});

/** Slots as a sidecar pins them, changed. */
function slotBytes(random: Random): Buffer {
  const used = random.below(SLOTS + 1);
  const slots = Array.from({ length: SLOTS }, (_, slot) => {
    if (slot >= used) return Buffer.alloc(LAYOUT.rm_slot.size);
    const record = {
      slot: {
        slot,
        cookie: BigInt(1 + random.below(100)),
        openedMs: random.below(1_000_000),
        closedMs: random.oneIn(2) ? null : random.below(1_000_000),
        optionsDigest: random.pick([0n, 1n, 2n, random.big()]),
        generation: random.below(5),
        class: random.below(MAX_CLASSES),
        incomingCpu: random.below(10) - 1,
        drained: random.oneIn(4),
      },
      base: { syn: random.below(100), out: random.below(100), into: random.below(100) },
    };
    return encodeSlot(record);
  });
  const bytes = Buffer.concat(slots);
  for (let i = random.below(4); i > 0; i--) mutateBytes(random, bytes);
  return bytes;
}

const policy = (random: Random): Policy => ({
  migrate: random.pick(["newest", "any", "off", "observe"]),
  route: random.pick(["kernel", "newest"]),
  settings: random.pick(["prefer", "strict", "ignore"]),
  hold: random.pick([null, { timeMs: 1_000, max: 7 }]),
});

const seen = (random: Random): Seen[] =>
  random.list(70, () => ({
    cookie: BigInt(1 + random.below(120)),
    openedMs: random.below(2_000_000),
    optionsDigest: random.pick([null, 0n, 1n, 5n]),
    incomingCpu: random.pick([-1, 0, 1, 5_000, 2 ** 32 - 2]),
  }));

fuzz("a plan from pinned slots", {
  make: (random) => ({
    bytes: slotBytes(random),
    policy: policy(random),
    seen: [...new Map(seen(random).map((it) => [it.cookie, it])).values()],
    nowMs: 1_000_000 + random.below(1_000_000),
  }),
  outcomes: ["planned"],
  check({ bytes, policy: how, seen: now, nowMs }) {
    const records = Array.from({ length: SLOTS }, (_, i) => decodeSlot(bytes, i)).filter(
      (it): it is SlotRecord => it !== null,
    );
    const before = records.map(({ slot }) => slot);
    const plan = makePlan(before, now, how, SLOTS, nowMs);
    for (const slot of plan.slots) {
      assert.ok(slot.slot < SLOTS && slot.class < MAX_CLASSES);
      const base = { syn: 0, out: 0, into: 0 };
      assert.deepEqual(decodeSlot(encodeSlot({ slot, base }), 0)?.slot.cookie, slot.cookie);
    }
    assert.ok(plan.slots.length <= SLOTS && plan.targets.classes.length <= MAX_CLASSES);
    const tables = { slots: SLOTS, cpus: 4, sourceMask: 255 };
    encodePlan(plan.targets, tables);
    const control = { mode: "select", standby: SLOTS, reportMoves: true } as const;
    encodeControl(1, plan.targets, control, NO_PROBE, tables);
    const placed = plan.slots.filter(({ closedMs }) => closedMs === null).length;
    assert.ok(plan.targets.count <= placed);
    // What `status` shows of it.
    const listening = new Set(now.map(({ cookie }) => cookie));
    const role = rolesOf(plan.targets);
    for (const slot of slotsNow(before, listening, nowMs)) role(slot);
    // Once applied, the same listeners lead to the same plan.
    const again = makePlan(plan.slots, now, how, SLOTS, nowMs);
    assert.deepEqual(again.targets, plan.targets);
    return "planned";
  },
});

const sparse = (random: Random, bytes: Buffer) => bytes.fill(0, 0, random.below(bytes.length));

fuzz("sources and counters", {
  make: (random) => ({
    words: sparse(random, random.bytes(random.pick([64, 4 * SLOTS]) * 8)),
    cookies: random.list(40, () => random.big()),
    cpus: random.bytes(cpuCounters(SLOTS) * 8 * 2),
    rows: random.bytes((2 + random.below(3)) * MIGRATION_CELLS * 8),
  }),
  outcomes: ["read"],
  check({ words, cookies, cpus, rows }) {
    const entries = words.length / 8;
    const map = {
      shape: { entries },
      read: () => Buffer.from(words),
      update: (key: number, value: Buffer) => {
        assert.ok(key < entries);
        value.copy(words, key * 8);
      },
    };
    const sources = new Sources(map);
    const low = cookies.map((it) => it & 0xffff_ffff_ffffn);
    for (const [i, cookie] of low.entries()) {
      if (sources.set({ cookie, slot: i % SLOTS, class: i % 20 })) sources.remove(cookie);
    }
    sources.keep(new Set(low));
    sources.invalidate();
    sources.keep(new Set());
    assert.ok(
      words.every((byte) => byte === 0),
      "a source is left",
    );
    const shape = { value: LAYOUT.rm_control.size + cpus.length };
    const readPart = (from: number, to: number) =>
      Buffer.from(cpus.subarray(from - LAYOUT.rm_control.size, to - LAYOUT.rm_control.size));
    const counters = new Counters({ shape, readPart }, SLOTS);
    const counts = new Counts(counters.sum(0, 20), wordsOf(rows));
    for (const { count } of [...counts.decisions(true)]) assert.ok(count >= 0);
    assert.ok(counts.total().out >= 0 && counts.slotCounts(7).into >= 0);
    return "read";
  },
});
