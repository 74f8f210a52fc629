/** What the CPUs have counted of one group's new connections, added up: `counters` of its `control`. */
import { LAYOUT } from "../core/abi.ts";
import { cpuCounters } from "../core/map_shapes.ts";
import { addWords } from "./counts.ts";

/** What of a map is needed here. Offsets in bytes. */
export interface Bytes {
  readonly shape: { readonly value: number };
  readPart(from: number, to: number): Buffer;
}

const WORD = 8;

export class Counters {
  readonly #control: Bytes;
  /** Bytes that each CPU has. */
  readonly #stride: number;

  /** @param slots the group's */
  constructor(control: Bytes, slots: number) {
    this.#control = control;
    this.#stride = cpuCounters(slots) * WORD;
  }

  /** Of the cells from `from` up to `to`, each CPU's together. */
  sum(from: number, to: number): Float64Array {
    const sums = new Float64Array(to - from);
    const first = LAYOUT.rm_control.members.counters;
    for (let cpu = first; cpu < this.#control.shape.value; cpu += this.#stride) {
      addWords(sums, this.#control.readPart(cpu + from * WORD, cpu + to * WORD));
    }
    return sums;
  }
}
