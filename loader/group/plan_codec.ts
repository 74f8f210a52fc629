/** A plan as the program reads it: its lines of `plans`, and `control`, which puts it in force. */
import {
  FEW,
  LAYOUT,
  LINE_CELLS,
  MAX_CLASSES,
  MODES,
  type Mode,
  RANGE_LINES,
  SYN_REFUSE,
  WAY_OTHER,
} from "../core/abi.ts";
import { planLines } from "../core/map_shapes.ts";
import type { Run, Targets } from "../core/targets.ts";

/** Bytes of a cell. */
const CELL = LAYOUT.rm_line.size / LINE_CELLS;
/** Where the targets of new connections begin. */
const SYN_CELL = RANGE_LINES * LINE_CELLS;

/** Its lines, of a group with so many slots. */
export function encodePlan(targets: Targets, slots: number): Buffer {
  const { size, members: at } = LAYOUT.rm_range;
  const out = Buffer.alloc(planLines(slots) * LAYOUT.rm_line.size);
  const put = (list: readonly number[], cell: number) => {
    for (const [i, slot] of list.entries()) out.writeUInt16LE(slot, (cell + i) * CELL);
  };
  put(targets.syn, SYN_CELL);
  let next = SYN_CELL + slots;
  const placed = new Map<Run, number>();
  const place = (run: Run, number: number) => {
    const list = [...run.best, ...run.rest];
    if (list.length === 0) return;
    // Classes may be served by one run: then they share it.
    const first = placed.get(run) ?? next;
    if (first === next) {
      put(list, first);
      next += list.length;
      placed.set(run, first);
    }
    out.writeUInt16LE(first, number * size + at.first);
    out.writeUInt16LE(run.best.length, number * size + at.count);
    out.writeUInt16LE(list.length, number * size + at.total);
  };
  for (const [number, run] of targets.classes.entries()) place(run, number);
  place(targets.other, MAX_CLASSES);
  return out;
}

/** What `control` says of the group's maps. */
export interface Tables {
  readonly slots: number;
  /** Of `sources`. */
  readonly sourceMask: number;
}

/** What `control` says beside the plan in force. */
export interface Control {
  readonly mode: Mode;
  /** The standby's entry of `listeners`; 0: none. */
  readonly standby: number;
  /** Tell of migrations from accept queues. */
  readonly tell: boolean;
}

/** Where connections from one client port go, whatever the plan says. */
export interface Probe {
  /** 0: none. */
  readonly port: number;
  /** Entry of `listeners`. */
  readonly slot: number;
}

export const NO_PROBE: Probe = { port: 0, slot: 0 };

/** @param active which of the two plans is in force */
export function encodeControl(
  active: number,
  targets: Targets,
  control: Control,
  probe: Probe,
  { slots, sourceMask }: Tables,
): Buffer {
  const { size, members: at } = LAYOUT.rm_control;
  const out = Buffer.alloc(size);
  out.writeUInt16LE(targets.refuse ? SYN_REFUSE : targets.syn.length, at.syn_count);
  out.writeUInt16LE(control.standby, at.standby);
  out.writeUInt16LE(probe.port, at.probe);
  out.writeUInt16LE(probe.slot, at.probe_slot);
  out.writeUInt16LE(active * planLines(slots), at.plan);
  out.writeUInt16LE(sourceMask, at.source_mask);
  out.writeUInt16LE(wayOf(targets, control, probe), at.way);
  for (const [i, slot] of targets.syn.slice(0, FEW).entries()) {
    out.writeUInt16LE(slot, at.few + i * CELL);
  }
  out.writeUInt8(MODES.indexOf(control.mode), at.mode);
  out.writeUInt8(control.tell ? 1 : 0, at.tell);
  return out;
}

/** What the program looks at first. */
function wayOf({ syn, refuse }: Targets, { standby }: Control, { port }: Probe): number {
  if (port !== 0 || refuse) return WAY_OTHER;
  return syn.length === 0 && standby !== 0 ? WAY_OTHER : syn.length;
}

/** What of `control` outlives a plan; all of it is zero before the first. */
export function decodeControl(value: Buffer): {
  active: number;
  tells: boolean;
  probe: Probe;
} {
  const at = LAYOUT.rm_control.members;
  return {
    active: value.readUInt16LE(at.plan) ? 1 : 0,
    tells: value.readUInt8(at.tell) === 1,
    probe: { port: value.readUInt16LE(at.probe), slot: value.readUInt16LE(at.probe_slot) },
  };
}

/** What is told of migrations from accept queues, and how many listeners were woken for it. */
export interface Moved {
  readonly told: boolean;
  readonly wakeups: number;
}

export function encodeMoved({ told, wakeups }: Moved): Buffer {
  const { size, members: at } = LAYOUT.rm_moved;
  const out = Buffer.alloc(size);
  out.writeUInt32LE(told ? 1 : 0, at.told);
  out.writeBigUInt64LE(BigInt(wakeups), at.wakeups);
  return out;
}

export function decodeMoved(value: Buffer | null): Moved {
  const at = LAYOUT.rm_moved.members;
  return {
    told: value?.readUInt32LE(at.told) === 1,
    wakeups: Number(value?.readBigUInt64LE(at.wakeups) ?? 0n),
  };
}
