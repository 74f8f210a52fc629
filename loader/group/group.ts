/**
 * The pinned state of one group: program, maps and policy. `create` loads and pins it, `open` opens
 * existing pins.
 */
import { basename } from "node:path";
import type { BpfMap } from "../bpf/map.ts";
import { type ProgramInfo, programInfo } from "../bpf/program.ts";
import { ABI_VERSION, OUTCOMES } from "../core/abi.ts";
import type { GroupMap } from "../core/map_shapes.ts";
import type { Slot } from "../core/slot.ts";
import type { Targets } from "../core/targets.ts";
import { AbiMismatchError } from "../errors.ts";
import * as libc from "../sys/libc.ts";
import {
  addWords,
  Counters,
  Counts,
  MIGRATION_CELLS,
  type SlotCounts,
  slotCounts,
  wordsOf,
} from "./counters.ts";
import { decodeGroup, encodeGroup, type GroupRecord } from "./group_record.ts";
import {
  decodeHoldCounts,
  decodeStandby,
  encodeHoldCounts,
  encodeStandby,
  type HoldCounts,
  type StandbyRecord,
} from "./hold_record.ts";
import { MoveEvents } from "./move_events.ts";
import { type GroupPins, makePins, makeUnpinned, openPins } from "./pins.ts";
import type { Control, ProbeTarget } from "./plan_codec.ts";
import { PlanTable } from "./plan_table.ts";
import type { SlotRecord } from "./slots.ts";
import { SlotTable } from "./slots.ts";
import { Sources } from "./sources.ts";

/** Owns file descriptors of the pinned program and maps. */
export class Group implements Disposable {
  readonly name: string;
  readonly #programFd: number;
  readonly #maps: Readonly<Record<GroupMap, BpfMap>>;
  readonly programId: number;
  #closed = false;
  #record: GroupRecord;
  readonly #slots: SlotTable;
  readonly #sources: Sources;
  readonly #plan: PlanTable;
  readonly #counters: Counters;
  readonly moveEvents: MoveEvents;
  /**
   * Cache of the pinned record; null since {@link invalidate}. Only the group's sidecar writes it.
   */
  #standby: StandbyRecord | null = null;

  private constructor(name: string, { programFd, maps }: GroupPins) {
    this.name = name;
    this.#programFd = programFd;
    this.#maps = maps;
    this.programId = programInfo(programFd).id;
    this.#record = this.#readRecord();
    this.#slots = new SlotTable(maps.slots);
    this.#sources = new Sources(maps.sources);
    const slots = maps.slots.shape.entries;
    this.#plan = new PlanTable(maps, { slots, sourceMask: this.#sources.mask });
    this.#counters = new Counters(maps.control, slots);
    this.moveEvents = new MoveEvents(maps);
  }

  /** Drops all caches: another process may have changed the pins. */
  invalidate(): void {
    this.#record = this.#readRecord();
    this.#slots.invalidate();
    this.#sources.invalidate();
    this.#plan.invalidate();
    this.#standby = null;
  }

  #readRecord(): GroupRecord {
    return decodeGroup(this.#maps.group.lookup(0));
  }

  /**
   * Loads an instance for the group and pins it into the empty directory `unfinished`. Until
   * {@link setPlan} it leaves every decision to the kernel's hash. Attaches nothing.
   */
  static create(name: string, record: GroupRecord, unfinished: string): Group {
    makePins(record.slots, unfinished);
    const group = new Group(name, openPins(unfinished));
    group.setRecord(record);
    return group;
  }

  /** Loads an instance without pins, for the self-test. */
  static load(name: string, record: GroupRecord): Group {
    const group = new Group(name, makeUnpinned(record.slots));
    group.setRecord(record);
    return group;
  }

  /**
   * Opens the pins in `directory`.
   * @throws AbiMismatchError with every difference if another version made them
   */
  static open(directory: string): Group {
    const group = new Group(basename(directory), openPins(directory));
    const { abiVersion } = group.#record;
    if (abiVersion === ABI_VERSION) return group;
    group[Symbol.dispose]();
    throw new AbiMismatchError(directory, [`ABI version ${abiVersion}, not ${ABI_VERSION}`]);
  }

  /** Opens the pins in `directory`, or returns null if another version made them. */
  static openOrNull(directory: string): Group | null {
    try {
      return Group.open(directory);
    } catch (error) {
      if (error instanceof AbiMismatchError) return null;
      throw error;
    }
  }

  get record(): GroupRecord {
    return this.#record;
  }

  setRecord(record: GroupRecord): void {
    this.#maps.group.update(0, encodeGroup(record));
    this.#record = record;
  }

  /** The program's file descriptor, for attaching. */
  get programFd(): number {
    return this.#programFd;
  }

  programInfo(): ProgramInfo {
    return programInfo(this.#programFd);
  }

  /** Returns every slot ever used. */
  slots(): readonly SlotRecord[] {
    return this.#slots.all();
  }

  setSlot(record: SlotRecord): void {
    this.#slots.set(record);
  }

  /** Returns the cookie of the listener in the sockmap's entry of a slot, or null. */
  cookieIn(slot: number): bigint | null {
    return this.#maps.listeners.lookup(slot)?.readBigUInt64LE() ?? null;
  }

  /** The standby's entry of the sockmap; the next one is for a readiness probe. */
  get standbySlot(): number {
    return this.#record.slots;
  }

  get candidateSlot(): number {
    return this.#record.slots + 1;
  }

  get standby(): StandbyRecord {
    this.#standby ??= decodeStandby(this.#maps.standby.lookup(0));
    return this.#standby;
  }

  setStandby(record: StandbyRecord): void {
    this.#maps.standby.update(0, encodeStandby(record));
    this.#standby = record;
  }

  get holdCounts(): HoldCounts {
    return decodeHoldCounts(this.#maps.hold_counts.lookup(0));
  }

  setHoldCounts(holds: HoldCounts): void {
    this.#maps.hold_counts.update(0, encodeHoldCounts(holds));
  }

  /** Puts a listener into the sockmap. @throws SysError EBUSY if it is in another program's map */
  setListener(slot: number, fd: number): void {
    const value = Buffer.alloc(8);
    value.writeUInt32LE(fd);
    this.#maps.listeners.update(slot, value);
  }

  removeListener(slot: number): void {
    this.#maps.listeners.delete(slot);
  }

  setSource(slot: Pick<Slot, "cookie" | "slot" | "class">): void {
    this.#sources.set(slot);
  }

  removeSource(cookie: bigint): void {
    this.#sources.remove(cookie);
  }

  /** Removes sources without a slot or standby, as left by a sidecar that was killed. */
  pruneSources(): void {
    const slots = this.slots().map(({ slot }) => slot.cookie);
    this.#sources.keep(new Set([...slots, this.standby.cookie]));
  }

  /** Whether the program reports migrations from accept queues. */
  get reportsMoves(): boolean {
    return this.#plan.reportsMoves;
  }

  /** Activates a plan. */
  setPlan(targets: Targets, control: Control): void {
    this.#plan.set(targets, control);
  }

  /** Steers connections from one client port, in addition to the plan; effective at once. */
  steer(probe: ProbeTarget): void {
    this.#plan.steer(probe);
  }

  /** Returns the group's counts. @param used number of slots ever used */
  counts(used = this.#record.slots): Counts {
    const { migrations } = this.#maps;
    const standby = OUTCOMES.length + this.standbySlot;
    const syn = new Float64Array(OUTCOMES.length + used + 1);
    syn.set(this.#counters.sum(0, OUTCOMES.length + used));
    syn.set(this.#counters.sum(standby, standby + 1), OUTCOMES.length + used);
    const rows = new Float64Array((1 + used + 1) * MIGRATION_CELLS);
    addWords(rows, migrations.read(0, 1 + used));
    addWords(rows, migrations.read(1 + this.standbySlot, 1), (1 + used) * MIGRATION_CELLS);
    return new Counts(syn, rows);
  }

  /** Returns the counts of one slot. */
  slotCounts(slot: number): SlotCounts {
    const cell = OUTCOMES.length + slot;
    const [syn = 0] = this.#counters.sum(cell, cell + 1);
    return slotCounts(syn, wordsOf(this.#maps.migrations.read(1 + slot, 1)));
  }

  [Symbol.dispose](): void {
    for (const map of Object.values(this.#maps)) map[Symbol.dispose]();
    if (!this.#closed) libc.close(this.#programFd);
    this.#closed = true;
  }
}
