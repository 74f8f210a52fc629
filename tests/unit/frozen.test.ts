/**
 * What every version reads of every other one's pins (docs/UPGRADE.md): members may be added at the
 * end of these structs and lists, but none may move. ABI 8 was the first one.
 */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import {
  HOLD_BUCKETS,
  LAYOUT,
  MIGRATE,
  ROUTE,
  SELECT_PROGRAM,
  SETTINGS,
} from "../../loader/core/abi.ts";
import { fitted } from "../../loader/core/struct.ts";
import { decodeGroup, encodeGroup } from "../../loader/group/group_record.ts";
import { KEEP_KINDS, KEEP_REQUEST, KEEPER_COMM } from "../../loader/keeper/kept.ts";

const OFFSETS = {
  rm_group: {
    ...{ abi_version: 0, netns: 4, ifindex: 8, uid: 12, family: 16, port: 18, v6only: 20 },
    ...{ migrate: 21, route: 22, settings: 23, addr: 24, slots: 40, attachments: 44 },
    ...{ first_program: 48, replaced_program: 52, hold_ms: 56, hold_max: 60, service: 64 },
  },
  rm_slot: {
    ...{ cookie: 0, opened_ms: 8, closed_ms: 16, options_digest: 24, generation: 32, class: 36 },
    ...{ drained: 40, incoming_cpu: 44, base_syn: 48, base_out: 56, base_into: 64 },
  },
  rm_standby: { cookie: 0, held_ms: 8, options: 16 },
  rm_hold_counts: {
    started: 0,
    handed_over: 8,
    expired: 16,
    released: 24,
    sum_ms: 32,
    buckets: 40,
    connections_handed_over: 120,
    connections_reset: 128,
  },
  rm_adoption: { abi_version: 0, pad: 4, parent: 8, name: 16, path: 272 },
  rm_adopted_port: { binds: 0, failed: 8 },
} as const;

/** Lists whose indexes are pinned. */
const LISTS = {
  migrate: [MIGRATE, ["newest", "any", "off", "observe"]],
  route: [ROUTE, ["kernel", "newest"]],
  settings: [SETTINGS, ["prefer", "strict", "ignore"]],
  "hold buckets": [HOLD_BUCKETS, [0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300]],
  "requests to the keeper": [KEEP_KINDS, ["keep", "drop"]],
} as const;

describe("frozen for every version", () => {
  for (const [name, offsets] of Object.entries(OFFSETS)) {
    test(`${name}: no member has moved`, () => {
      const members: Readonly<Record<string, number>> =
        LAYOUT[name as keyof typeof OFFSETS].members;
      for (const [member, at] of Object.entries(offsets)) assert.equal(members[member], at, member);
    });
  }

  for (const [name, [list, first]] of Object.entries(LISTS)) {
    test(`${name}: no number has another meaning`, () => {
      assert.deepEqual(list.slice(0, first.length), first);
    });
  }

  test("names, and messages to the keeper", () => {
    assert.equal(SELECT_PROGRAM, "select_listener");
    assert.equal(KEEPER_COMM, "rm-keeper");
    assert.deepEqual(KEEP_REQUEST.members, { cookie: 0, kind: 8, patience_ms: 12 });
    assert.equal(KEEP_REQUEST.size, 16);
  });
});

test("a record of another version: what is added there is left out, what is missing is 0", () => {
  const record = decodeGroup(null);
  const value = encodeGroup({ ...record, service: "web", slots: 64 });
  const { size } = LAYOUT.rm_group;
  const longer = Buffer.concat([value, Buffer.alloc(8, 0xff)]);
  assert.deepEqual(fitted(longer, size), value);
  const shorter = fitted(value.subarray(0, LAYOUT.rm_group.members.service), size);
  assert.deepEqual(decodeGroup(shorter), { ...decodeGroup(value), service: "" });
});
