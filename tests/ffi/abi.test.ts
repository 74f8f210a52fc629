/**
 * The two sides of the ABI: loader/core/abi.ts against the BTF of the built objects and the
 * headers' numbers.
 */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { BpfObject } from "../../loader/bpf/object.ts";
import * as abi from "../../loader/core/abi.ts";
import { readStructs } from "../helpers/btf.ts";
import { evaluate } from "../helpers/host/c_header.ts";

const header = ["reuseport_migrate", "records", "reports"]
  .map((name) => new URL(`../../../bpf/${name}.h`, import.meta.url))
  .map((url) => readFileSync(fileURLToPath(url), "utf8"))
  .join("");
const defines = new Map(
  [...header.matchAll(/^#define (RM_[A-Z_]+) (\d+)/gm)].map(([, name = "", n]) => [
    name,
    Number(n),
  ]),
);

const structs = new Map<string, { size: number; members: Record<string, number> }>();
for (const name of ["select", "listeners", "processes", "bind_events", "standby_binds", "adopt"]) {
  using object = new BpfObject(name);
  for (const [struct, layout] of readStructs(object)) structs.set(struct, layout);
}

/** Structs that only the loader writes and reads: no object has their BTF. */
for (const name of ["rm_event", "rm_event_count"] as const) {
  const names = Object.keys(abi.LAYOUT[name].members);
  const [sizeOf, ...offsets] = [
    `sizeof(struct ${name})`,
    ...names.map((member) => `offsetof(struct ${name}, ${member})`),
  ] as const;
  const values = evaluate("bpf/records.h", [sizeOf, ...offsets]);
  const members = names.map((member, i) => [member, values[offsets[i] ?? ""] ?? -1] as const);
  structs.set(name, { size: values[sizeOf] ?? -1, members: Object.fromEntries(members) });
}

for (const [name, { size, members }] of Object.entries(abi.LAYOUT)) {
  test(`struct ${name} is the same in C and in TypeScript`, () => {
    assert.deepEqual({ size, members }, structs.get(name));
  });
}

test("no struct of the headers is without a twin", () => {
  const ours = [...header.matchAll(/^struct (rm_\w+) \{/gm)].map(([, name]) => name);
  assert.deepEqual(ours.toSorted(), Object.keys(abi.LAYOUT).toSorted());
});

test("numbers are the same in C and in TypeScript", () => {
  const list = (prefix: string, names: readonly string[]) =>
    names.map((name, i) => [`${prefix}${name.toUpperCase()}`, i] as const);
  const outcomes = abi.OUTCOMES.map((o) =>
    "reason" in o ? `${o.outcome}_${o.reason}` : o.outcome,
  );
  const expected = new Map<string, number>([
    ["RM_ABI_VERSION", abi.ABI_VERSION],
    ["RM_MAX_SLOTS", abi.MAX_SLOTS],
    ["RM_MAX_CLASSES", abi.MAX_CLASSES],
    ["RM_TRIES", abi.TRIES],
    ["RM_SOURCE_TRIES", abi.SOURCE_TRIES],
    ["RM_SOURCE_COOKIE_SHIFT", abi.SOURCE_COOKIE_SHIFT],
    ["RM_SOURCE_ROW_SHIFT", abi.SOURCE_ROW_SHIFT],
    ["RM_SOURCE_HASH", abi.SOURCE_HASH],
    ["RM_LINE_SLOTS", abi.LINE_SLOTS],
    ["RM_LINE_CPUS", abi.LINE_CPUS],
    ["RM_FIRST_TARGETS", abi.FIRST_TARGETS],
    ["RM_CANDIDATE_LINES", abi.CANDIDATE_LINES],
    ["RM_HOLD_BUCKETS", abi.HOLD_BUCKETS.length],
    ["RM_OPTIONS_LEN", abi.OPTIONS_LEN],
    ["RM_SERVICE_LEN", abi.SERVICE_LEN],
    ["RM_EVENT_LEN", abi.EVENT_LEN],
    ["RM_COMM_LEN", abi.COMM_LEN],
    ["RM_BIND_BUDGET", abi.BIND_BUDGET],
    ["RM_CGROUP_NAME_LEN", abi.CGROUP_NAME_LEN],
    ["RM_CGROUP_PATH_LEN", abi.CGROUP_PATH_LEN],
    ["RM_STAGES", abi.STAGES.length],
    ["RM_OUTCOMES", abi.OUTCOMES.length],
    ["RM_OUTCOME_FALLBACK", abi.OUTCOMES.findIndex((o) => o.outcome === "fallback")],
    ...list("RM_STAGE_", abi.STAGES),
    ...list("RM_LEVEL_", abi.LEVELS),
    ...list("RM_OUTCOME_", outcomes),
    ...list("RM_MIGRATE_", abi.MIGRATE),
    ...list("RM_ROUTE_", abi.ROUTE),
    ...list("RM_SETTINGS_", abi.SETTINGS),
    ...list("RM_MODE_", abi.MODES),
    ["RM_SYN_REFUSE", abi.SYN_REFUSE],
    ["RM_FAST_PATH_NONE", abi.FAST_PATH_NONE],
  ]);
  assert.deepEqual(Object.fromEntries(defines), Object.fromEntries(expected));
});

test("a service's name as long as a SPEC can be fits the record", () => {
  const longest = "[1111:2222:3333:4444:5555:6666:7777:8888]:65535";
  assert.ok(longest.length < abi.SERVICE_LEN);
});
