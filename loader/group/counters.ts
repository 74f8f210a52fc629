/** Reads what the program counts for one group, and adds it up: `counters` and `migrations`. */
import {
  LAYOUT,
  MIGRATING_STAGES,
  MIGRATION_DECISIONS,
  OUTCOMES,
  type Stage,
} from "../core/abi.ts";
import { cpuCounters } from "../core/map_shapes.ts";

type Outcome = (typeof OUTCOMES)[number];

/** The number of decisions of one stage and outcome. */
export interface Decision {
  readonly stage: Stage;
  readonly outcome: Outcome["outcome"];
  /** Why the outcome is a fallback, or a drop that is not the policy's. */
  readonly reason?: Extract<Outcome, { readonly reason: string }>["reason"];
  readonly count: number;
}

/** Connections that the listener in one slot was given or lost. */
export interface SlotCounts {
  /** New connections for which it was selected. */
  readonly syn: number;
  /** Migrations from it to a target. */
  readonly out: number;
  /** Migrations to it. */
  readonly into: number;
}

export const NO_COUNTS: SlotCounts = { syn: 0, out: 0, into: 0 };

/** Returns the increase from `base` to `now`. */
export function countsSince(now: SlotCounts, base: SlotCounts): SlotCounts {
  return { syn: now.syn - base.syn, out: now.out - base.out, into: now.into - base.into };
}

/** 64-bit words of a row of `migrations`. */
export const MIGRATION_CELLS = LAYOUT.rm_migrations.size / 8;

/**
 * Adds 64-bit words to `sums`, beginning at index `from`. Numbers are many times faster than
 * bigints and exact up to 2^53: a million a second for 285 years. The words are aligned to 4 bytes.
 */
export function addWords(sums: Float64Array, bytes: Buffer, from = 0): Float64Array {
  const halves = new Uint32Array(bytes.buffer, bytes.byteOffset, bytes.length / 4);
  for (let i = 0, at = from; i < halves.length; i += 2, at++) {
    const word = (halves[i] ?? 0) + (halves[i + 1] ?? 0) * 2 ** 32;
    sums[at] = (sums[at] ?? 0) + word;
  }
  return sums;
}

/** Returns 64-bit words as numbers. */
export function wordsOf(bytes: Buffer): Float64Array {
  return addWords(new Float64Array(bytes.length / 8), bytes);
}

/** The counts of a whole group: the sums of all CPUs. */
export class Counts {
  readonly #syn: Float64Array;
  readonly #migrations: Float64Array;
  /** The sum of all rows of `migrations`. */
  readonly #all = new Float64Array(MIGRATION_CELLS);

  readonly #slots: number;

  /**
   * Slots that were never used may be missing: the group's own cells, the slots', the standby's.
   * @param syn cells of `counters`, summed over all CPUs
   * @param migrations cells of all rows of `migrations`
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

  /** Returns the counts of a slot; of the standby for any number above the last used slot. */
  slotCounts(slot: number): SlotCounts {
    const row = Math.min(slot, this.#slots);
    const syn = this.#syn[OUTCOMES.length + row] ?? 0;
    return slotCounts(syn, this.#migrations, (row + 1) * MIGRATION_CELLS);
  }

  /** Returns the sum of all slots and of the group's own counts. */
  total(): SlotCounts {
    return slotCounts(this.#selected(), this.#all);
  }

  /** Returns the decisions by stage and outcome; those that never happened only with `zero`. */
  decisions(zero = false): Decision[] {
    const decisions: Decision[] = [];
    const add = (stage: Stage, cell: number, count: number) => {
      const outcome = OUTCOMES[cell];
      if (outcome && (zero || count > 0)) {
        decisions.push({ stage, ...outcome, count });
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

  /** Returns the number of new connections for which a listener was selected. */
  #selected(): number {
    let sum = 0;
    for (let cell = OUTCOMES.length; cell < this.#syn.length; cell++) sum += this.#syn[cell] ?? 0;
    return sum;
  }
}

const SELECTED = OUTCOMES.findIndex(({ outcome }) => outcome === "selected");

/**
 * Returns the counts of one slot.
 * @param cells of `migrations`; the slot's row begins at `from`
 */
export function slotCounts(syn: number, cells: Float64Array, from = 0): SlotCounts {
  let out = 0;
  let into = 0;
  for (let stage = 0; stage < MIGRATING_STAGES.length; stage++) {
    out += cells[from + stage * OUTCOMES.length + SELECTED] ?? 0;
    into += cells[from + MIGRATION_DECISIONS + stage] ?? 0;
  }
  return { syn, out, into };
}

/** Returns the number of decisions about connections in an accept queue. @param cells a slot's row */
export function queueDecisions(cells: Float64Array): number {
  return cells.subarray(0, OUTCOMES.length).reduce((sum, count) => sum + count, 0);
}

/** The part of a map that is read here. Offsets in bytes. */
export interface Bytes {
  readonly shape: { readonly value: number };
  readPart(from: number, to: number): Buffer;
}

const WORD = 8;

/** The program's counts of new connections: `counters` in the group's map `control`. */
export class Counters {
  readonly #control: Bytes;
  /** Bytes of one CPU's counters. */
  readonly #stride: number;

  /** @param slots number of slots of the group */
  constructor(control: Bytes, slots: number) {
    this.#control = control;
    this.#stride = cpuCounters(slots) * WORD;
  }

  /** Returns the cells from `from` up to, but not including, `to`, summed over all CPUs. */
  sum(from: number, to: number): Float64Array {
    const sums = new Float64Array(to - from);
    const first = LAYOUT.rm_control.members.counters;
    for (let cpu = first; cpu < this.#control.shape.value; cpu += this.#stride) {
      addWords(sums, this.#control.readPart(cpu + from * WORD, cpu + to * WORD));
    }
    return sums;
  }

  /** Returns how many connections of the sidecar's own a listener was selected for. */
  own(): number {
    const last = this.#stride / WORD - 1;
    return this.sum(last, last + 1)[0] ?? 0;
  }
}
