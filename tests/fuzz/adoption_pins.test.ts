/** Pins of an adoption with wrong types, sizes and contents. Root, in the sandbox. */
import assert from "node:assert/strict";
import { join } from "node:path";
import { after } from "node:test";
import { exitCode } from "../../cli/process/exit.ts";
import { adopt, adoptionName, unadopt } from "../../loader/adoption/adopt.ts";
import { readAdoptions } from "../../loader/adoption/adoption_status.ts";
import { BpfMap } from "../../loader/bpf/map.ts";
import { obtain } from "../../loader/bpf/pin.ts";
import { PinTree } from "../../loader/bpf/pin_tree.ts";
import { BIND_PROGRAMS } from "../../loader/core/abi.ts";
import { ADOPTION_MAPS } from "../../loader/core/map_shapes.ts";
import * as libc from "../../loader/sys/libc.ts";
import { TestCgroup } from "../helpers/host/cgroup.ts";
import { openFds } from "../helpers/host/fds.ts";
import { BPFFS, Scene } from "../helpers/scene/scene.ts";
import { fuzz } from "./fuzz.ts";
import { mutateBytes } from "./mutate.ts";
import { putInPlace, type Thing, thing } from "./things.ts";

const PINS = [...Object.keys(ADOPTION_MAPS), ...BIND_PROGRAMS];
const scene = new Scene("127.0.0.1", "127.0.0.1");
after(() => scene.end());
const { path: cgroup } = new TestCgroup(scene, "app").create();
const tree = new PinTree(BPFFS);
const name = adoptionName(cgroup);
const directory = tree.directory(name);
const at = (pin: string) => join(directory, pin);

interface Input {
  readonly pins: readonly { readonly pin: string; readonly is: Thing }[];
  /** The record; null: as it is. */
  readonly record: Buffer | null;
  /** Ports, and counts of each. */
  readonly ports: readonly { readonly key: Buffer; readonly counts: Buffer }[];
}

const none = (pins: Input["pins"]): Input => ({ pins, record: null, ports: [] });

function change({ pins, record, ports }: Input): void {
  if (record) {
    using map = new BpfMap(obtain(at("adoption")));
    map.update(0, record);
  }
  for (const { key, counts } of ports) {
    using map = new BpfMap(obtain(at("ports")));
    map.update(key, counts);
  }
  const fds = new Map(PINS.map((pin) => [pin, obtain(at(pin))]));
  for (const { pin, is } of pins) putInPlace(at(pin), is, (other) => fds.get(other) ?? -1);
  for (const fd of fds.values()) libc.close(fd);
}

/** Returns whether it was done; a failure must be one of our errors. */
function done(work: () => unknown): boolean {
  try {
    work();
    return true;
  } catch (error) {
    assert.notEqual(exitCode(error), 1, `not one of our errors: ${(error as Error).stack}`);
    return false;
  }
}

let inputs = 0;
let first: string[] | null = null;
using lock = await tree.lock();
after(() => lock[Symbol.dispose]());

fuzz("pins of an adoption", {
  make(random): Input {
    if (random.oneIn(3)) {
      const pins = Array.from({ length: 1 + random.below(2) }, () => ({
        pin: random.pick(PINS),
        is: thing(random, PINS),
      }));
      return none(pins);
    }
    const record = Buffer.alloc(ADOPTION_MAPS.adoption.value);
    return {
      pins: [],
      record: random.oneIn(2) ? null : mutateBytes(random, record),
      ports: random.list(3, () => ({ key: random.bytes(2), counts: random.bytes(16) })),
    };
  },
  outcomes: ["used", "refused"],
  oneFor: 50,
  shrinks: false,
  check(input) {
    adopt(tree, cgroup, [80]);
    change(input);
    const errors: string[] = [];
    const results = [
      done(() => readAdoptions(tree, new Set(), errors)),
      done(() => adopt(tree, cgroup, [81])),
      done(() => unadopt(tree, new Set([81]))),
    ];
    unadopt(tree, "all");
    assert.deepEqual(tree.adoptions(), [], "detach --all left an adoption");
    if (++inputs % 100 === 0) {
      const now = openFds();
      first ??= now;
      assert.ok(now.length <= first.length, `${first.join("\n")}\nthen:\n${now.join("\n")}`);
    }
    return errors.length === 0 && results.every((it) => it) ? "used" : "refused";
  },
});
