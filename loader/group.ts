/**
 * One managed group, as pinned: the program, its maps, the policy. `create`
 * loads and pins, `open` adopts; from then on both are the same thing.
 */
import { renameSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { ABI_VERSION, type GroupMap, LAYOUT } from "./abi.ts";
import {
  addRow,
  decodeGroup,
  decodeSlot,
  emptyRow,
  encodeCookie,
  encodeGroup,
  encodeSlot,
  encodeSource,
  type GroupRecord,
  type Row,
  type SlotRecord,
} from "./codec.ts";
import { AbiMismatchError } from "./errors.ts";
import { type GroupPins, makePins, makeUnpinned, openPins } from "./group_pins.ts";
import {
  decodeHolds,
  decodeStandby,
  encodeHolds,
  encodeStandby,
  type Holds,
  type StandbyRecord,
} from "./holds.ts";
import { type BpfMap, possibleCpus } from "./map.ts";
import type { Slot } from "./plan.ts";
import {
  type Control,
  decodeControl,
  decodeMoved,
  encodeControl,
  encodeMoved,
  encodePlan,
  NO_PROBE,
  type Probe,
} from "./plan_codec.ts";
import { type ProgramInfo, programInfo } from "./program.ts";
import * as libc from "./sys/libc.ts";
import type { Targets } from "./targets.ts";

/** Owns file descriptors on the pinned program and maps. */
export class Group implements Disposable {
  readonly name: string;
  readonly #programFd: number;
  readonly #maps: Readonly<Record<GroupMap, BpfMap>>;
  readonly programId: number;
  #closed = false;
  #record: GroupRecord;
  #targets: Targets | null = null;
  #plan: Buffer | null = null;
  #active = 0;
  #control: Control = { mode: "select", standby: 0, tell: false };
  #probe = NO_PROBE;
  #tells = false;
  /** As it is pinned; null: not read since {@link reload}. Only the group's own sidecar writes it. */
  #standby: StandbyRecord | null = null;
  /** The last whole `slots` map, and what it says. */
  #slots: { readonly bytes: Buffer; readonly records: readonly SlotRecord[] } | null = null;

  private constructor(name: string, { programFd, maps }: GroupPins) {
    this.name = name;
    this.#programFd = programFd;
    this.#maps = maps;
    this.programId = programInfo(programFd).id;
    this.#record = decodeGroup(maps.group.lookup(0) ?? Buffer.alloc(LAYOUT.rm_group.size));
    this.reload();
  }

  /** Reads again what a command may have changed meanwhile: the policy, and which plan is in force. */
  reload(): void {
    const { group, control } = this.#maps;
    this.#record = decodeGroup(group.lookup(0) ?? Buffer.alloc(LAYOUT.rm_group.size));
    const { active, tells, probe } = decodeControl(control.lookup(0));
    this.#active = active;
    this.#probe = probe;
    this.#tells = tells;
    this.#plan = null;
    this.#standby = null;
  }

  /** It tells of migrations from accept queues. */
  get tells(): boolean {
    return this.#tells;
  }

  /**
   * Loads an instance for the group and pins it into the empty directory `unfinished`.
   * It decides as the kernel's hash does until {@link setPlan}; nothing is attached.
   */
  static create(name: string, record: GroupRecord, unfinished: string): Group {
    makePins(record.slots, unfinished);
    const group = new Group(name, openPins(unfinished));
    group.setRecord(record);
    return group;
  }

  /** As {@link create}, but with nothing pinned: the self-test's, which must leave nothing. */
  static load(name: string, record: GroupRecord): Group {
    const group = new Group(name, makeUnpinned(record.slots));
    group.setRecord(record);
    return group;
  }

  /**
   * Adopts what is pinned in `directory`.
   * @throws AbiMismatchError with every difference when it is of another version.
   */
  static open(directory: string): Group {
    const group = new Group(basename(directory), openPins(directory));
    const { abiVersion } = group.#record;
    if (abiVersion === ABI_VERSION) return group;
    group[Symbol.dispose]();
    throw new AbiMismatchError(directory, [`ABI version ${abiVersion}, not ${ABI_VERSION}`]);
  }

  /** As {@link open}; null when it is of another version, which is another one's to say. */
  static openOrNull(directory: string): Group | null {
    try {
      return Group.open(directory);
    } catch (error) {
      if (error instanceof AbiMismatchError) return null;
      throw error;
    }
  }

  /** Makes a filled `unfinished` directory the group's own, in one step. */
  static publish(unfinished: string, name: string): void {
    renameSync(unfinished, join(dirname(unfinished), name));
  }

  get record(): GroupRecord {
    return this.#record;
  }

  setRecord(record: GroupRecord): void {
    this.#maps.group.update(0, encodeGroup(record));
    this.#record = record;
  }

  /** The program, to attach with. */
  get programFd(): number {
    return this.#programFd;
  }

  programInfo(): ProgramInfo {
    return programInfo(this.#programFd);
  }

  /** Slots ever used. */
  slots(): readonly SlotRecord[] {
    const values = this.#maps.slots.readAll();
    if (this.#slots?.bytes.equals(values)) return this.#slots.records;
    const records: SlotRecord[] = [];
    for (let number = 0; number < this.#record.slots; number++) {
      const record = decodeSlot(values, number);
      if (record) records.push(record);
    }
    this.#slots = { bytes: values, records };
    return records;
  }

  setSlot(record: SlotRecord): void {
    this.#maps.slots.update(record.slot.slot, encodeSlot(record));
  }

  /** Cookie of the listener that the sockmap really holds in a slot. */
  cookieIn(slot: number): bigint | null {
    return this.#maps.listeners.lookup(slot)?.readBigUInt64LE() ?? null;
  }

  /** The standby's entry of the sockmap; the candidate's is the next. */
  get standbySlot(): number {
    return this.#record.slots;
  }

  get candidateSlot(): number {
    return this.#record.slots + 1;
  }

  get standby(): StandbyRecord {
    const pinned = () => this.#maps.standby.lookup(0) ?? Buffer.alloc(LAYOUT.rm_standby.size);
    this.#standby ??= decodeStandby(pinned());
    return this.#standby;
  }

  setStandby(record: StandbyRecord): void {
    this.#maps.standby.update(0, encodeStandby(record));
    this.#standby = record;
  }

  get holds(): Holds {
    return decodeHolds(this.#maps.holds.lookup(0) ?? Buffer.alloc(LAYOUT.rm_holds.size));
  }

  setHolds(holds: Holds): void {
    this.#maps.holds.update(0, encodeHolds(holds));
  }

  /** Puts a listener into the sockmap. EBUSY: it is in somebody else's map. */
  setListener(slot: number, fd: number): void {
    const value = Buffer.alloc(8);
    value.writeUInt32LE(fd);
    this.#maps.listeners.update(slot, value);
  }

  removeListener(slot: number): void {
    this.#maps.listeners.delete(slot);
  }

  setSource(slot: Pick<Slot, "cookie" | "slot" | "class">): void {
    this.#maps.cookies.update(encodeCookie(slot.cookie), encodeSource(slot));
  }

  removeSource(cookie: bigint): void {
    this.#maps.cookies.delete(encodeCookie(cookie));
  }

  /** Forgets sources that no slot and no standby has: what sidecars that were killed left. */
  pruneSources(): void {
    const cookies = [...this.slots().map(({ slot }) => slot.cookie), this.standby.cookie];
    const known = new Set(cookies.map((cookie) => encodeCookie(cookie).toString("hex")));
    for (const key of this.#maps.cookies.keys()) {
      if (!known.has(key.toString("hex"))) this.#maps.cookies.delete(key);
    }
  }

  /** Puts a plan in force: written whole where the program does not look, then flipped in. */
  setPlan(targets: Targets, control: Control): void {
    const plan = encodePlan(targets);
    const same = this.#plan?.equals(plan) ?? this.#maps.plans.lookup(this.#active)?.equals(plan);
    if (!same) {
      this.#active = 1 - this.#active;
      this.#maps.plans.update(this.#active, plan);
    }
    this.#plan = plan;
    this.#targets = targets;
    this.#control = control;
    this.#setControl();
  }

  /** Steers connections from one client port; in force at once, beside any plan. */
  steer(probe: Probe): void {
    this.#probe = probe;
    this.#setControl();
  }

  #setControl(): void {
    if (this.#targets === null) return; // with the first plan
    const entry = encodeControl(this.#active, this.#targets, this.#control, this.#probe);
    if (!this.#maps.control.lookup(0)?.equals(entry)) this.#maps.control.update(0, entry);
  }

  /** A ring buffer that says when connections were migrated from an accept queue. */
  get movesFd(): number {
    return this.#maps.moves.fd;
  }

  /** Listeners that were woken, since the group was pinned. */
  get wakeups(): number {
    return decodeMoved(this.#maps.moved.lookup(0)).wakeups;
  }

  /** Counts listeners that were woken. */
  addWakeups(count: number): void {
    const { told, wakeups } = decodeMoved(this.#maps.moved.lookup(0));
    this.#maps.moved.update(0, encodeMoved({ told, wakeups: wakeups + count }));
  }

  /** True when migrations were told of; those that come from now on are told of again. */
  takeMoved(): boolean {
    const { told, wakeups } = decodeMoved(this.#maps.moved.lookup(0));
    if (told) this.#maps.moved.update(0, encodeMoved({ told: false, wakeups }));
    return told;
  }

  /** Row 0 is the group's own, row slot + 1 a slot's; all CPUs added up. */
  rows(): Row[] {
    const bytes = this.#maps.counters.readAll();
    const size = LAYOUT.rm_counters.size;
    const rows: Row[] = [];
    for (let at = 0; at < bytes.length; ) {
      const row = emptyRow();
      for (let cpu = 0; cpu < possibleCpus(); cpu++, at += size) addRow(row, bytes, at);
      rows.push(row);
    }
    return rows;
  }

  /** The row of one slot. */
  row(slot: number): Row {
    const bytes = this.#maps.counters.lookup(slot + 1);
    const row = emptyRow();
    for (let at = 0; bytes && at < bytes.length; at += LAYOUT.rm_counters.size)
      addRow(row, bytes, at);
    return row;
  }

  [Symbol.dispose](): void {
    for (const map of Object.values(this.#maps)) map[Symbol.dispose]();
    if (!this.#closed) libc.close(this.#programFd);
    this.#closed = true;
  }
}
