/** The pins of a real group, which are changed at random and put back. */
import { statSync } from "node:fs";
import { join } from "node:path";
import { BpfMap } from "../../loader/bpf/map.ts";
import { obtain, pin } from "../../loader/bpf/pin.ts";
import { cpuNumbers } from "../../loader/bpf/possible_cpus.ts";
import { PROGRAM_PIN } from "../../loader/bpf/program.ts";
import { GROUP_MAPS, type GroupMap, groupShapes, MAP_TYPE } from "../../loader/core/map_shapes.ts";
import * as libc from "../../loader/sys/libc.ts";
import type { Random } from "../helpers/random.ts";
import { mutateBytes } from "./mutate.ts";
import { putInPlace, removePin, type Thing, thing } from "./things.ts";

const MAPS = Object.keys(GROUP_MAPS) as GroupMap[];
/** Maps whose content is written as values; a sockmap and a map of maps hold kernel objects. */
const ARRAYS = MAPS.filter((map) => GROUP_MAPS[map].type === MAP_TYPE.array);

/** One change: of a value, or of a pin. */
export type Change =
  | { readonly map: GroupMap; readonly entry: number; readonly value: Buffer }
  | { readonly pin: string; readonly is: Thing }
  /** Every map has the shape of a group with this many slots. */
  | { readonly slots: number };

/** Returns changes; most inputs have one. */
export function changesOf(random: Random, state: PinnedState): Change[] {
  const count = random.pick([1, 1, 1, 2, 5]);
  return Array.from({ length: count }, () =>
    random.oneIn(3) ? pinChange(random) : state.value(random),
  );
}

function pinChange(random: Random): Change {
  if (random.oneIn(9)) return { slots: random.pick([1, 16, 32, 63, 65, 128, 512, 1_024, 2_048]) };
  return {
    pin: random.pick([PROGRAM_PIN, ...MAPS]),
    is: thing(random, [PROGRAM_PIN, ...MAPS]),
  };
}

/** Owns descriptors of everything that was pinned, so that it can be pinned again. */
export class PinnedState implements Disposable {
  readonly directory: string;
  /** Another one after the group was replaced. */
  readonly #inode: number;
  readonly #fds = new Map<string, number>();
  readonly #maps = new Map<GroupMap, BpfMap>();
  readonly #contents = new Map<GroupMap, Buffer>();
  readonly #dirty = new Set<GroupMap>();
  readonly #moved = new Set<string>();

  constructor(directory: string) {
    this.directory = directory;
    this.#inode = statSync(directory).ino;
    for (const name of [PROGRAM_PIN, ...MAPS]) this.#fds.set(name, obtain(join(directory, name)));
    for (const map of MAPS) this.#maps.set(map, new BpfMap(libc.duplicate(this.#fd(map))));
    for (const map of ARRAYS) this.#contents.set(map, this.#map(map).read());
  }

  /** Returns a random value for one entry: the present one, changed, or noise. */
  value(random: Random): Change {
    const map = random.pick([...ARRAYS, "group", "slots", "standby", "control"] as const);
    const { entries, value: size } = this.#map(map).shape;
    const entry = random.oneIn(2) ? 0 : random.below(Math.min(entries, 8));
    const now = Buffer.from(this.#content(map).subarray(entry * size, (entry + 1) * size));
    return { map, entry, value: random.oneIn(9) ? random.bytes(size) : mutateBytes(random, now) };
  }

  apply(changes: readonly Change[]): void {
    for (const change of changes) {
      if ("map" in change) {
        this.#map(change.map).update(change.entry, change.value);
        this.#dirty.add(change.map);
      } else if ("pin" in change) this.#replace(change.pin, change.is);
      else {
        for (const [map, each] of Object.entries(groupShapes(change.slots, cpuNumbers()))) {
          this.#replace(map, { ...each, entries: Math.ceil(each.entries) });
        }
      }
    }
  }

  #replace(name: string, is: Thing): void {
    this.#moved.add(name);
    putInPlace(join(this.directory, name), is, (other) => this.#fd(other));
  }

  /** Puts everything back. */
  restore(): void {
    const isReplaced = statSync(this.directory).ino !== this.#inode;
    for (const name of isReplaced ? [PROGRAM_PIN, ...MAPS] : this.#moved) {
      const path = join(this.directory, name);
      removePin(path);
      pin(this.#fd(name), path);
    }
    for (const map of this.#dirty) {
      const { value } = this.#map(map).shape;
      const content = this.#content(map);
      if (map === "control") this.#map(map).update(0, content);
      else this.#map(map).write(0, content.subarray(0, Math.floor(content.length / value) * value));
    }
    this.#moved.clear();
    this.#dirty.clear();
  }

  #fd(name: string): number {
    return this.#fds.get(name) ?? -1;
  }

  #map(map: GroupMap): BpfMap {
    return this.#maps.get(map) as BpfMap;
  }

  #content(map: GroupMap): Buffer {
    return this.#contents.get(map) ?? Buffer.alloc(0);
  }

  [Symbol.dispose](): void {
    for (const map of this.#maps.values()) map[Symbol.dispose]();
    for (const fd of this.#fds.values()) libc.close(fd);
  }
}
