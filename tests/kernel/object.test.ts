/** Loading and closing an object whose maps have a large group's sizes. */
import assert from "node:assert/strict";
import { readdirSync } from "node:fs";
import { test } from "node:test";
import { MAX_SLOTS } from "../../loader/abi.ts";
import { fit } from "../../loader/group_pins.ts";
import { BpfObject } from "../../loader/object.ts";

test("closing it takes nobody else's memory along, and leaves no file descriptor", () => {
  const files = () => readdirSync("/proc/self/fd").length;
  const before = files();
  // libbpf's own idea of how much to unmap ends this process after a few of them, loaded or not.
  for (let i = 0; i < 40; i++) {
    using object = new BpfObject("select");
    fit(object, MAX_SLOTS);
    if (i % 2 === 0) object.load();
  }
  assert.equal(files(), before);
});
