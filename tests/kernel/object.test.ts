/** Loading and closing an object whose maps have a large group's sizes; the map it is given. */
import assert from "node:assert/strict";
import { readdirSync } from "node:fs";
import { test } from "node:test";
import { BpfMap } from "../../loader/bpf/map.ts";
import { BpfObject } from "../../loader/bpf/object.ts";
import { LAYOUT, MAX_SLOTS } from "../../loader/core/abi.ts";
import { groupShapes } from "../../loader/core/map_shapes.ts";
import { requireShapes } from "../../loader/group/pins.ts";
import { duplicate } from "../../loader/sys/libc.ts";

test("closing it takes nobody else's memory along, and leaves no file descriptor", () => {
  const files = () => readdirSync("/proc/self/fd").length;
  const before = files();
  // libbpf's own idea of how much to unmap ends this process after a few of them, loaded or not.
  for (let i = 0; i < 40; i++) {
    using object = new BpfObject("select");
    requireShapes(object, MAX_SLOTS);
    if (i % 2 === 0) object.load();
  }
  assert.equal(files(), before);
});

test("what a program goes by is written beside counters, which stay; another mapping and a call see the same", () => {
  const shape = groupShapes(64, 2).control;
  const { size } = LAYOUT.rm_control;
  using map = BpfMap.create("control", shape);
  const counted = Buffer.alloc(shape.value, 0x11);
  map.update(0, counted);
  const start = Buffer.from(Array.from({ length: size }, (_, i) => i));
  map.writeStart(start);
  using other = new BpfMap(duplicate(map.fd));
  for (const seen of [map, other]) {
    assert.deepEqual(seen.readPart(0, size), start);
    assert.deepEqual(seen.readPart(size, shape.value), counted.subarray(size));
  }
  assert.deepEqual(map.lookup(0), Buffer.concat([start, counted.subarray(size)]));
  const beyond = Buffer.alloc(shape.value + 1);
  assert.throws(() => map.writeStart(beyond), RangeError);
  assert.throws(() => map.readPart(0, beyond.length), RangeError);
});
