/**
 * One loaded program and its maps. A group has one at a time: if it needs more slots, a larger
 * instance replaces it.
 */
import { cpuNumbers } from "../bpf/possible_cpus.ts";
import { type ProgramInfo, programInfo } from "../bpf/program.ts";
import { LAYOUT, OUTCOMES } from "../core/abi.ts";
import { cpuCounters } from "../core/map_shapes.ts";
import { Owned } from "../owned.ts";
import { addWords, Counters, MIGRATION_CELLS } from "./counters.ts";
import { HoldCountsMap } from "./hold_counts_map.ts";
import { MoveEvents } from "./move_events.ts";
import type { GroupPins } from "./pins.ts";
import { PlanTable } from "./plan_table.ts";
import { SlotTable } from "./slots.ts";
import { Sources } from "./sources.ts";

/**
 * Counts of a whole group, without slots that were never used: the group's own, the slots', the
 * standby's.
 */
export interface Cells {
  /** New connections, summed over all CPUs. */
  readonly syn: Float64Array;
  /** Rows of `migrations`. */
  readonly migrations: Float64Array;
}

const WORD = 8;
const ROW = LAYOUT.rm_migrations.size;

/** Owns file descriptors of a program and its maps. */
export class GroupInstance implements Disposable {
  readonly programFd: number;
  readonly programId: number;
  readonly maps: GroupPins["maps"];
  readonly slots: SlotTable;
  readonly sources: Sources;
  readonly plan: PlanTable;
  readonly counters: Counters;
  readonly moveEvents: MoveEvents;
  readonly holdCounts: HoldCountsMap;
  readonly #own: Disposable;

  /** Takes ownership of the pins. */
  constructor(pins: GroupPins) {
    using own = new Owned();
    const { programFd, maps } = own.use(pins);
    this.programFd = programFd;
    this.maps = maps;
    this.programId = programInfo(programFd).id;
    this.slots = new SlotTable(maps.slots);
    this.sources = new Sources(maps.sources);
    const sizes = { slots: this.capacity, cpus: cpuNumbers(), sourceMask: this.sources.mask };
    this.plan = new PlanTable(maps, sizes);
    this.counters = new Counters(maps.control, this.capacity);
    this.moveEvents = new MoveEvents(maps);
    this.holdCounts = new HoldCountsMap(maps.hold_counts);
    this.#own = own.move();
  }

  /** Number of slots; the standby has the entry behind them. */
  get capacity(): number {
    return this.maps.slots.shape.entries;
  }

  /** Drops all caches: another process may have changed the pins. */
  invalidate(): void {
    this.slots.invalidate();
    this.sources.invalidate();
    this.plan.invalidate();
    this.holdCounts.invalidate();
  }

  programInfo(): ProgramInfo {
    return programInfo(this.programFd);
  }

  /** Returns all counts. @param used number of slots ever used */
  cells(used = this.capacity): Cells {
    const standby = OUTCOMES.length + this.capacity;
    const syn = new Float64Array(OUTCOMES.length + used + 1);
    syn.set(this.counters.sum(0, OUTCOMES.length + used));
    syn.set(this.counters.sum(standby, standby + 1), OUTCOMES.length + used);
    const migrations = new Float64Array((1 + used + 1) * MIGRATION_CELLS);
    addWords(migrations, this.maps.migrations.read(0, 1 + used));
    const last = this.maps.migrations.read(1 + this.capacity, 1);
    return { syn, migrations: addWords(migrations, last, (1 + used) * MIGRATION_CELLS) };
  }

  /**
   * Adds counts of the instance that this one replaces, even while the program counts.
   * @throws SysError if the kernel refuses to map the memory
   */
  addCells({ syn, migrations }: Cells): void {
    const { control, migrations: rows } = this.maps;
    const block = control.shape.value - cpuCounters(this.capacity) * WORD;
    control.add(block, syn.subarray(0, -1));
    control.add(block + (OUTCOMES.length + this.capacity) * WORD, syn.subarray(-1));
    rows.add(0, migrations.subarray(0, -MIGRATION_CELLS));
    rows.add((1 + this.capacity) * ROW, migrations.subarray(-MIGRATION_CELLS));
  }

  /**
   * Copies slots, sources, standby, holds and counts to the larger instance that is going to replace
   * it. Listeners and plan are not copied: they are applied.
   * @returns copies what has been counted since the last time
   */
  carryOver(to: GroupInstance): () => void {
    to.maps.slots.write(0, this.maps.slots.read());
    for (const map of ["standby", "hold_counts", "move_report"] as const) {
      const value = this.maps[map].lookup(0);
      if (value) to.maps[map].update(0, value);
    }
    // Also those of listeners that have closed: handshakes under way name them.
    for (const source of this.sources.all()) {
      const slot = source.slot === this.capacity ? to.capacity : source.slot;
      to.sources.set({ ...source, slot });
    }
    let before: Cells | null = null;
    const carryCounts = () => {
      const now = this.cells();
      to.addCells(before === null ? now : increase(now, before));
      before = now;
      this.moveEvents.passOn(to.moveEvents);
    };
    carryCounts();
    return carryCounts;
  }

  [Symbol.dispose](): void {
    this.#own[Symbol.dispose]();
  }
}

function increase(now: Cells, before: Cells): Cells {
  return {
    syn: now.syn.map((count, i) => count - (before.syn[i] ?? 0)),
    migrations: now.migrations.map((count, i) => count - (before.migrations[i] ?? 0)),
  };
}
