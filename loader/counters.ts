/** `counters` of one group: what the CPUs have counted of new connections, added up. */
import { COUNT_CELLS, cpuLines, LAYOUT } from "./abi.ts";
import { addWords } from "./counts.ts";

/** What of a map is needed here. */
export interface Lines {
  readonly shape: { readonly entries: number };
  read(first: number, entries: number): Buffer;
}

const LINE = LAYOUT.rm_counts.size;
const WORD = LINE / COUNT_CELLS;

export class Counters {
  readonly #map: Lines;
  /** Entries that each CPU has. */
  readonly #lines: number;

  /** @param slots the group's */
  constructor(map: Lines, slots: number) {
    this.#map = map;
    this.#lines = cpuLines(slots);
  }

  /** Of the cells from `from` up to `to`, each CPU's together. */
  sum(from: number, to: number): Float64Array {
    const sums = new Float64Array(to - from);
    const first = Math.floor(from / COUNT_CELLS);
    const lines = Math.ceil(to / COUNT_CELLS) - first;
    const skip = (from - first * COUNT_CELLS) * WORD;
    for (let line = first; line < this.#map.shape.entries; line += this.#lines) {
      const bytes = this.#map.read(line, lines);
      addWords(sums, bytes.subarray(skip, skip + sums.length * WORD));
    }
    return sums;
  }
}
