/** What can be in the place of a pin. */
import { existsSync, lstatSync, mkdirSync, rmdirSync, unlinkSync } from "node:fs";
import { BpfMap } from "../../loader/bpf/map.ts";
import { pin } from "../../loader/bpf/pin.ts";
import { groupShapes, type MapShape } from "../../loader/core/map_shapes.ts";
import type { Random } from "../helpers/random.ts";

/** Another pin, by its name, or a map of this shape. */
export type Thing = "gone" | "a directory" | (string & {}) | Required<MapShape>;

/** @param pins names of pins */
export function thing(random: Random, pins: readonly string[]): Thing {
  return random.pick<() => Thing>([
    () => "gone",
    () => "a directory",
    () => random.pick(pins),
    () => shape(random),
    () => shape(random),
  ])();
}

function shape(random: Random): Required<MapShape> {
  const like = random.pick(Object.values(groupShapes(64, 2)));
  return {
    type: random.oneIn(3) ? random.pick([1, 2, 6, 9, 15, 22, 27]) : like.type,
    key: random.oneIn(5) ? random.pick([1, 4, 8]) : like.key,
    value: random.oneIn(3) ? random.pick([1, 4, 8, 72, 4_096]) : like.value,
    entries: random.oneIn(3) ? random.pick([1, 2, 63, 64, 4_096]) : like.entries,
    flags: random.oneIn(4) ? random.pick([0, 1, 1 << 7, 1 << 10]) : like.flags,
  };
}

/** Puts a thing at `path`. @param fdOf returns the descriptor of another pin */
export function putInPlace(path: string, is: Thing, fdOf: (pin: string) => number): void {
  removePin(path);
  if (is === "gone") return;
  if (is === "a directory") mkdirSync(path);
  else if (typeof is === "string") pin(fdOf(is), path);
  else {
    using map = made(is);
    if (map) pin(map.fd, path);
  }
}

/** Returns a map of this shape; null if the kernel makes none. */
function made(shape: Required<MapShape>): BpfMap | null {
  try {
    return BpfMap.create("fuzzed", shape);
  } catch {
    return null;
  }
}

export function removePin(path: string): void {
  if (!existsSync(path)) return;
  if (lstatSync(path).isDirectory()) rmdirSync(path);
  else unlinkSync(path);
}
