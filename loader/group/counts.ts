/** What a group has counted: its `counters` and `migrations`, decoded. Pure. */
import {
  LAYOUT,
  MIGRATING_STAGES,
  MIGRATION_DECISIONS,
  OUTCOMES,
  type Stage,
} from "../core/abi.ts";

/** One decision count. */
export interface Decision {
  readonly stage: string;
  readonly outcome: string;
  /** Of outcome `fallback`. */
  readonly reason?: string;
  readonly count: bigint;
}

/** What one slot counts of connections that its listener was given or lost. */
export interface Row {
  /** New connections it was selected for. */
  readonly syn: number;
  /** Migrations from it to a target. */
  readonly out: number;
  /** Migrations to it. */
  readonly into: number;
}

export const NO_ROW: Row = { syn: 0, out: 0, into: 0 };

/** What was counted in `row` since it was `base`. */
export function since(row: Row, base: Row): Row {
  return { syn: row.syn - base.syn, out: row.out - base.out, into: row.into - base.into };
}

/** 64-bit words of a row of `migrations`. */
export const MIGRATION_CELLS = LAYOUT.rm_migrations.size / 8;

/**
 * Adds 64-bit words, which are where 32-bit ones may be, to `sums` from there on. As numbers, which are many times faster than bigints, and exact up to
 * 2^53: a count gets there by a million a second for 285 years.
 */
export function addWords(sums: Float64Array, bytes: Buffer, from = 0): Float64Array {
  const halves = new Uint32Array(bytes.buffer, bytes.byteOffset, bytes.length / 4);
  for (let i = 0, at = from; i < halves.length; i += 2, at++) {
    const word = (halves[i] ?? 0) + (halves[i + 1] ?? 0) * 2 ** 32;
    sums[at] = (sums[at] ?? 0) + word;
  }
  return sums;
}

/** 64-bit words as numbers. */
export function wordsOf(bytes: Buffer): Float64Array {
  return addWords(new Float64Array(bytes.length / 8), bytes);
}

/** The counts of a whole group, all CPUs added up. */
export class Counts {
  readonly #syn: Float64Array;
  readonly #migrations: Float64Array;
  /** The sum of all rows of `migrations`. */
  readonly #all = new Float64Array(MIGRATION_CELLS);

  readonly #slots: number;

  /**
   * Both maps, slots that were never used left out: what is before the slots, the slots, the standby.
   * @param syn cells of `counters`, those of all CPUs added up
   * @param migrations cells of the rows
   */
  constructor(syn: Float64Array, migrations: Float64Array) {
    this.#syn = syn;
    this.#migrations = migrations;
    for (let at = 0; at < this.#migrations.length; at += MIGRATION_CELLS) {
      for (let i = 0; i < MIGRATION_CELLS; i++) {
        this.#all[i] = (this.#all[i] ?? 0) + (this.#migrations[at + i] ?? 0);
      }
    }
    this.#slots = migrations.length / MIGRATION_CELLS - 2;
  }

  /** One slot's, or the standby's: beyond all slots, used or not. */
  row(slot: number): Row {
    const row = Math.min(slot, this.#slots);
    const syn = this.#syn[OUTCOMES.length + row] ?? 0;
    return rowOf(syn, this.#migrations, (row + 1) * MIGRATION_CELLS);
  }

  /** Every slot's and the group's own together. */
  total(): Row {
    return rowOf(this.#selected(), this.#all);
  }

  /** By stage and outcome, those that happened; with `zero` also those that never did. */
  decisions(zero = false): Decision[] {
    const decisions: Decision[] = [];
    const add = (stage: Stage, cell: number, count: number) => {
      const outcome = OUTCOMES[cell];
      if (outcome && (zero || count > 0)) {
        decisions.push({ stage, ...outcome, count: BigInt(count) });
      }
    };
    for (const cell of OUTCOMES.keys()) {
      add("syn", cell, cell === SELECTED ? this.#selected() : (this.#syn[cell] ?? 0));
    }
    for (const [i, stage] of MIGRATING_STAGES.entries()) {
      for (const cell of OUTCOMES.keys()) {
        add(stage, cell, this.#all[i * OUTCOMES.length + cell] ?? 0);
      }
    }
    return decisions;
  }

  /** New connections that some slot's listener was selected for. */
  #selected(): number {
    let sum = 0;
    for (let cell = OUTCOMES.length; cell < this.#syn.length; cell++) sum += this.#syn[cell] ?? 0;
    return sum;
  }
}

const SELECTED = OUTCOMES.findIndex(({ outcome }) => outcome === "selected");

/** @param cells of `migrations`, in which the row begins at `from` */
export function rowOf(syn: number, cells: Float64Array, from = 0): Row {
  let out = 0;
  let into = 0;
  for (let stage = 0; stage < MIGRATING_STAGES.length; stage++) {
    out += cells[from + stage * OUTCOMES.length + SELECTED] ?? 0;
    into += cells[from + MIGRATION_DECISIONS + stage] ?? 0;
  }
  return { syn, out, into };
}
