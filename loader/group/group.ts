/** The pinned state of one group: `create` loads and pins it, `open` opens existing pins. */
import { basename } from "node:path";
import type { ProgramInfo } from "../bpf/program.ts";
import { OUTCOMES } from "../core/abi.ts";
import type { Listener } from "../core/listener.ts";
import type { Slot } from "../core/slot.ts";
import type { Targets } from "../core/targets.ts";
import { AbiMismatchError } from "../errors.ts";
import { Owned } from "../owned.ts";
import { Counts, type SlotCounts, slotCounts, wordsOf } from "./counters.ts";
import { GroupInstance } from "./group_instance.ts";
import { decodeGroup, differencesOf, encodeGroup, type GroupRecord } from "./group_record.ts";
import type { HoldCounts, StandbyRecord } from "./hold_record.ts";
import * as holdRecord from "./hold_record.ts";
import type { MoveEvents } from "./move_events.ts";
import { makePins, makeUnpinned, openPins } from "./pins.ts";
import type { Control, ProbeTarget } from "./plan_codec.ts";
import type { SlotRecord } from "./slots.ts";

/** Owns file descriptors of the pinned program and maps. */
export class Group implements Disposable {
  readonly name: string;
  #instance: GroupInstance;
  #record: GroupRecord;
  /** Cache of the pinned record, which only its sidecar writes; null since {@link invalidate}. */
  #standby: StandbyRecord | null = null;

  /** Takes ownership of the instance. */
  private constructor(name: string, instance: GroupInstance) {
    using own = new Owned();
    this.name = name;
    this.#instance = own.use(instance);
    this.#record = this.#readRecord();
    own.release(this);
  }

  /** Drops all caches: another process may have changed the pins. */
  invalidate(): void {
    const record = this.#readRecord();
    const differences = differencesOf(record, this.name, this.#instance.capacity);
    // One that is no longer ours is replaced at the next change.
    if (differences.length === 0) this.#record = record;
    this.#instance.invalidate();
    this.#standby = null;
  }

  #readRecord(): GroupRecord {
    return decodeGroup(this.#instance.maps.group.lookup(0));
  }

  /**
   * Loads an instance for the group and pins it into the empty directory `unfinished`. Until
   * {@link setPlan} it leaves every decision to the kernel's hash. Attaches nothing.
   */
  static create(name: string, record: GroupRecord, unfinished: string): Group {
    makePins(record.slots, unfinished);
    return Group.#make(name, record, new GroupInstance(openPins(unfinished)));
  }

  /** Loads an instance without pins, for the self-test. */
  static load(name: string, record: GroupRecord): Group {
    return Group.#make(name, record, new GroupInstance(makeUnpinned(record.slots)));
  }

  static #make(name: string, record: GroupRecord, instance: GroupInstance): Group {
    using own = new Owned();
    const group = own.use(new Group(name, instance));
    group.setRecord({ ...record, firstProgram: record.firstProgram || group.programId });
    return own.release(group);
  }

  /**
   * Opens the pins in `directory`.
   * @throws AbiMismatchError with every difference if another version made them
   */
  static open(directory: string): Group {
    using own = new Owned();
    const group = own.use(new Group(basename(directory), new GroupInstance(openPins(directory))));
    const differences = differencesOf(group.#record, group.name, group.#instance.capacity);
    if (differences.length === 0) return own.release(group);
    throw new AbiMismatchError(directory, differences);
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
    this.#instance.maps.group.update(0, encodeGroup(record));
    this.#record = record;
  }

  get programId(): number {
    return this.#instance.programId;
  }

  /** Returns whether its program, or the one that it replaced, runs in a listener's kernel group. */
  isAttachedTo({ programId }: Pick<Listener, "programId">): boolean {
    if (programId === null || programId === 0) return false;
    return programId === this.programId || programId === this.#record.replacedProgram;
  }

  get moveEvents(): MoveEvents {
    return this.#instance.moveEvents;
  }

  /** The program's file descriptor, for attaching. */
  get programFd(): number {
    return this.#instance.programFd;
  }

  programInfo(): ProgramInfo {
    return this.#instance.programInfo();
  }

  /** Returns every slot ever used. */
  slots(): readonly SlotRecord[] {
    return this.#instance.slots.all();
  }

  setSlot(record: SlotRecord): void {
    this.#instance.slots.set(record);
  }

  /** Returns the cookie of the listener in the sockmap's entry of a slot, or null. */
  cookieIn(slot: number): bigint | null {
    return this.#instance.maps.listeners.lookup(slot)?.readBigUInt64LE() ?? null;
  }

  /** The standby's entry of the sockmap; the next one is for a readiness probe. */
  get standbySlot(): number {
    return this.#record.slots;
  }

  get candidateSlot(): number {
    return this.#record.slots + 1;
  }

  get standby(): StandbyRecord {
    this.#standby ??= holdRecord.decodeStandby(this.#instance.maps.standby.lookup(0));
    return this.#standby;
  }

  setStandby(record: StandbyRecord): void {
    this.#instance.maps.standby.update(0, holdRecord.encodeStandby(record));
    this.#standby = record;
  }

  get holdCounts(): HoldCounts {
    return this.#instance.holdCounts.read(this.#record.hold !== null);
  }

  setHoldCounts(holds: HoldCounts): void {
    this.#instance.holdCounts.write(holds);
  }

  /** The sockmap, for the lender. */
  get listenersFd(): number {
    return this.#instance.maps.listeners.fd;
  }

  /** Puts one of our listeners into the sockmap. */
  setListener(slot: number, fd: number): void {
    const value = Buffer.alloc(8);
    value.writeUInt32LE(fd);
    this.#instance.maps.listeners.update(slot, value);
  }

  removeListener(slot: number): void {
    this.#instance.maps.listeners.delete(slot);
  }

  setSource(slot: Pick<Slot, "cookie" | "slot" | "class">): void {
    this.#instance.sources.set(slot);
  }

  removeSource(cookie: bigint): void {
    this.#instance.sources.remove(cookie);
  }

  /** Removes sources without a slot or standby, as left by a sidecar that was killed. */
  pruneSources(): void {
    const slots = this.slots().map(({ slot }) => slot.cookie);
    this.#instance.sources.keep(new Set([...slots, this.standby.cookie]));
  }

  /** Whether the program reports migrations from accept queues. */
  get reportsMoves(): boolean {
    return this.#instance.plan.reportsMoves;
  }

  setPlan(targets: Targets, control: Control): void {
    this.#instance.plan.set(targets, control);
  }

  /** As {@link PlanTable.steer}. */
  steer(probe: ProbeTarget): () => boolean {
    return this.#instance.plan.steer(probe);
  }

  /** Returns the group's counts. @param used number of slots ever used */
  counts(used = this.#record.slots): Counts {
    const { syn, migrations } = this.#instance.cells(used);
    return new Counts(syn, migrations);
  }

  /** Returns the counts of one slot. */
  slotCounts(slot: number): SlotCounts {
    const cell = OUTCOMES.length + slot;
    const [syn = 0] = this.#instance.counters.sum(cell, cell + 1);
    return slotCounts(syn, this.migrationsOf(slot));
  }

  /** Returns the row of `migrations` of one slot. */
  migrationsOf(slot: number): Float64Array {
    return wordsOf(this.#instance.maps.migrations.read(1 + slot, 1));
  }

  /**
   * Copies its state to `next`, a larger instance that is not attached yet.
   * @returns copies what has been counted since the last time
   */
  carryOver(next: Group): () => void {
    return this.#instance.carryOver(next.#instance);
  }

  /** Continues with the instance of `next`, which is left with none. Closes its own. */
  moveTo(next: Group): void {
    this.#instance[Symbol.dispose]();
    this.#instance = next.#instance;
    this.#record = next.#record;
    this.#standby = null;
  }

  [Symbol.dispose](): void {
    this.#instance[Symbol.dispose]();
  }
}
