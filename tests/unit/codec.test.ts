import assert from "node:assert/strict";
import { describe, test } from "node:test";
import {
  decodeAdoption,
  decodeCounts,
  encodeAdoption,
  encodeCounts,
  encodePort,
} from "../../loader/adoption/adoption_record.ts";
import {
  ABI_VERSION,
  CANDIDATE_LINES,
  FAST_PATH_NONE,
  FIRST_TARGETS,
  LAYOUT,
  LINE_SLOTS,
  MAX_CLASSES,
  SYN_REFUSE,
} from "../../loader/core/abi.ts";
import { addressBytes, formatAddress } from "../../loader/core/address.ts";
import { MAX_GENERATION } from "../../loader/core/generations.ts";
import { cpuLine, planLines } from "../../loader/core/map_shapes.ts";
import { decodeGroup, encodeGroup } from "../../loader/group/group_record.ts";
import {
  addEnded,
  decodeHoldCounts,
  decodeStandby,
  encodeHoldCounts,
  encodeStandby,
} from "../../loader/group/hold_record.ts";
import { encodeControl, encodePlan } from "../../loader/group/plan_codec.ts";
import { decodeSlot, encodeSlot } from "../../loader/group/slots.ts";

test("addresses survive the way to the kernel and back", () => {
  for (const text of [
    "::",
    "::1",
    "2001:db8::1",
    "fe80::1:0:0:2",
    "::ffff:1.2.3.4",
    "::ffff:0.0.0.0",
    "::fffe:102:304",
    "::ffff:1:2:3",
    "1:2:3:4:5:6:7:8",
  ]) {
    assert.equal(formatAddress("ipv6", addressBytes("ipv6", text)), text);
  }
  for (const text of ["0.0.0.0", "127.0.0.1", "255.254.253.252"]) {
    assert.equal(formatAddress("ipv4", addressBytes("ipv4", text)), text);
  }
});

test("an adoption and its counts survive the way to the map and back", () => {
  const path = `/${"a".repeat(700)}/${"b".repeat(255)}`;
  for (const record of [
    { abiVersion: ABI_VERSION, path: "/", name: "", parent: 0n },
    { abiVersion: ABI_VERSION, path, name: "b".repeat(255), parent: 2n ** 63n },
    { abiVersion: ABI_VERSION, path: "/système.slice/ü", name: "ü", parent: 1n },
  ]) {
    const bytes = encodeAdoption(record);
    assert.equal(bytes.length, LAYOUT.rm_adoption.size);
    assert.deepEqual(decodeAdoption(bytes), record);
  }
  const counted = { port: 65535, binds: 2 ** 53 - 1, failed: 3 };
  assert.deepEqual(decodeCounts(encodePort(65535), encodeCounts(counted)), counted);
  assert.throws(() => encodePort(0), /a port must be/);
});

test("a group's record survives the way to the map and back", () => {
  const record = {
    abiVersion: ABI_VERSION,
    key: {
      netns: 4026531840,
      family: "ipv6",
      address: "2001:db8::1",
      port: 443,
      ifindex: 3,
      v6only: true,
    },
    uid: 33,
    migrate: "any",
    route: "newest",
    slots: 64,
    attachments: 2,
    firstProgram: 7,
    replacedProgram: 8,
    hold: { timeMs: 10_000, max: 4096 },
    settings: "strict",
    service: "[2001:db8::1]:443",
  } as const;
  assert.deepEqual(decodeGroup(encodeGroup(record)), record);
});

test("a slot's record survives the way to the map and back, 64-bit numbers whole", () => {
  const base = { syn: 2 ** 40 + 1, out: 2, into: 2 ** 53 - 1 };
  const slot = {
    slot: 1,
    cookie: 2n ** 64n - 1n,
    openedMs: 1_700_000_000_000,
    closedMs: null,
    optionsDigest: 0xfedcba9876543210n,
    generation: 9,
    class: 3,
    incomingCpu: 0,
    drained: true,
  };
  const values = Buffer.concat([Buffer.alloc(LAYOUT.rm_slot.size), encodeSlot({ slot, base })]);
  assert.deepEqual(decodeSlot(values, 1), { slot, base });
  assert.equal(decodeSlot(values, 0), null, "cookie 0: never used");
});

describe("pinned records that this program cannot have written (found by `make fuzz`)", () => {
  const all = (size: number, byte = 0xff) => Buffer.alloc(size, byte);
  const { rm_slot, rm_group, rm_standby, rm_hold_counts, rm_adopted_port } = LAYOUT;

  test("counts beyond 2^53 stop there, and can be written again", () => {
    const holds = decodeHoldCounts(all(rm_hold_counts.size));
    assert.equal(holds.started, Number.MAX_SAFE_INTEGER);
    encodeHoldCounts(addEnded(holds, "expired", 100));
    const counts = decodeCounts(encodePort(1), all(rm_adopted_port.size));
    encodeCounts({ ...counts, binds: counts.binds + 1 });
    assert.equal(
      decodeCounts(encodePort(1), encodeCounts({ ...counts, binds: 2 ** 70 })).binds,
      counts.binds,
    );
  });

  test("a slot of no class or generation was never used", () => {
    assert.equal(decodeSlot(all(rm_slot.size), 0), null);
    const slot = all(rm_slot.size, 0);
    slot.writeBigUInt64LE(7n);
    slot.writeUInt32LE(MAX_CLASSES, rm_slot.members.class);
    assert.equal(decodeSlot(slot, 0), null);
    slot.writeUInt32LE(0, rm_slot.members.class);
    assert.equal(decodeSlot(slot, 0)?.slot.cookie, 7n);
    slot.writeUInt32LE(MAX_GENERATION + 1, rm_slot.members.generation);
    assert.equal(decodeSlot(slot, 0), null);
  });

  test("a group can be attached once more, and its name has an end", () => {
    const record = decodeGroup(all(rm_group.size, 0x61));
    assert.equal(record.service, "a".repeat(63));
    const attachments = 2 ** 32 - 1;
    const again = encodeGroup({ ...record, attachments: attachments + 1 });
    assert.equal(decodeGroup(again).attachments, attachments);
  });

  test("socket options of a standby that are none are left out", () => {
    for (const text of ["{", "null", "7", "[1]", '{"TCP_CORK":1}', '{"TCP_CORK":"x"}']) {
      const bytes = Buffer.alloc(rm_standby.size);
      bytes.write(text, rm_standby.members.options);
      assert.deepEqual(decodeStandby(bytes).options, {}, text);
    }
    const options = { TCP_CORK: "01000000" };
    const bytes = encodeStandby({ cookie: 1n, heldSinceMs: null, options });
    assert.deepEqual(decodeStandby(bytes).options, options);
  });
});

test("a plan's runs hold each class's best, then its others; equal classes share one run", () => {
  const one = { best: [4], rest: [2, 1] };
  const two = { best: [7, 8], rest: [] };
  const none = { best: [], rest: [] };
  const classes = [one, one, two, ...Array.from({ length: MAX_CLASSES - 3 }, () => none)];
  const other = { best: [9], rest: [4] };
  const byCpu = [
    { cpu: 9, from: 1, count: 2 },
    { cpu: 10, from: 3, count: 1 },
  ];
  const rest = { refuse: false, classes, other, count: 5, strict: false };
  const targets = { syn: [7], byCpu: [], ...rest };
  const tables = { slots: 64, cpus: 10, sourceMask: 255 };
  const bytes = encodePlan({ ...targets, syn: [7, 5, 6, 4], byCpu }, tables);
  assert.equal(bytes.length, planLines(64, 10) * LAYOUT.rm_plan_line.size);
  const cell = (number: number) => bytes.readUInt16LE(number * 2);
  const run = (number: number) => {
    const [first = 0, count = 0, total = 0] = [0, 1, 2].map((i) => cell(number * 4 + i));
    const slots = Array.from({ length: total }, (_, i) => cell(first + i));
    return { first, count, slots };
  };
  assert.deepEqual(run(1).slots, [4, 2, 1]);
  assert.equal(run(1).count, 1);
  assert.deepEqual(run(0), run(1));
  assert.deepEqual(run(2).slots, [7, 8]);
  assert.deepEqual(run(3), { first: 0, count: 0, slots: [] });
  assert.equal(cell(CANDIDATE_LINES * LINE_SLOTS), 7);
  assert.deepEqual(run(MAX_CLASSES).slots, [9, 4]);
  const ofCpu = (cpu: number) => {
    const [first = 0, count = 0] = [0, 1].map((i) => cell(cpuLine(64) * LINE_SLOTS + cpu * 2 + i));
    return Array.from({ length: count }, (_, i) => cell(first + i));
  };
  assert.deepEqual(ofCpu(9), [5, 6]);
  assert.deepEqual(ofCpu(8), []);
  assert.deepEqual(ofCpu(10), [], "a CPU that does not exist");
  const control = { mode: "drop", standby: 64, reportMoves: true } as const;
  const probe = { port: 0x1234, slot: 65 };
  const encoded = encodeControl(1, targets, control, probe, tables);
  const first = [
    planLines(64, 10),
    0,
    0x34,
    0x12,
    65,
    0,
    255,
    0,
    2,
    1,
    1,
    0,
    64,
    0,
    255,
    255,
    7,
    0,
  ];
  assert.deepEqual([...encoded.subarray(0, first.length)], first);
  const many = Array.from({ length: 60 }, (_, i) => i + 1);
  const few = encodeControl(0, { ...targets, syn: many }, control, probe, tables);
  const { members: of, size } = LAYOUT.rm_control;
  assert.equal(few.length, size);
  assert.equal(few.readUInt16LE(size - 2), FIRST_TARGETS, "the last of those it has room for");
  assert.equal(few.readUInt16LE(of.syn_count), 60);
  const way = (syn: number[], refuse: boolean, standby: number, port = 0) =>
    encodeControl(
      0,
      { ...targets, syn, refuse },
      { ...control, standby },
      { port, slot: 0 },
      tables,
    ).readUInt16LE(of.fast_path);
  assert.equal(way([], false, 0), 0);
  assert.equal(way([1, 2], false, 64), 2);
  const local = encodeControl(0, { ...targets, byCpu }, control, { port: 0, slot: 0 }, tables);
  assert.equal(local.readUInt16LE(of.fast_path), FAST_PATH_NONE);
  assert.equal(way([], false, 64), FAST_PATH_NONE);
  assert.equal(way([], true, 0), FAST_PATH_NONE);
  assert.equal(way([1], false, 0, 80), FAST_PATH_NONE);
  const refused = encodeControl(1, { ...targets, refuse: true }, control, probe, tables);
  assert.equal(refused.readUInt16LE(of.syn_count), SYN_REFUSE);
});
