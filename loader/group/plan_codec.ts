/** A plan as the program reads it: its lines of `plans`, and `control`, which puts it in force. */
import {
  CANDIDATE_LINES,
  FAST_PATH_NONE,
  FIRST_TARGETS,
  LAYOUT,
  LINE_CELLS,
  MAX_CLASSES,
  MODES,
  type Mode,
  SYN_REFUSE,
} from "../core/abi.ts";
import { planLines } from "../core/map_shapes.ts";
import type { Candidates, Targets } from "../core/targets.ts";

/** Bytes of a cell. */
const CELL = LAYOUT.rm_plan_line.size / LINE_CELLS;
/** Where the targets of new connections begin. */
const SYN_CELL = CANDIDATE_LINES * LINE_CELLS;

/** Its lines, of a group with so many slots. */
export function encodePlan(targets: Targets, slots: number): Buffer {
  const { size, members: at } = LAYOUT.rm_candidates;
  const out = Buffer.alloc(planLines(slots) * LAYOUT.rm_plan_line.size);
  const put = (list: readonly number[], cell: number) => {
    for (const [i, slot] of list.entries()) out.writeUInt16LE(slot, (cell + i) * CELL);
  };
  put(targets.syn, SYN_CELL);
  let next = SYN_CELL + slots;
  const placed = new Map<Candidates, number>();
  const place = (run: Candidates, number: number) => {
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
  readonly reportMoves: boolean;
}

/** Where connections from one client port go, whatever the plan says. */
export interface ProbeTarget {
  /** 0: none. */
  readonly port: number;
  /** Entry of `listeners`. */
  readonly slot: number;
}

export const NO_PROBE: ProbeTarget = { port: 0, slot: 0 };

/** @param active which of the two plans is in force */
export function encodeControl(
  active: number,
  targets: Targets,
  control: Control,
  probe: ProbeTarget,
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
  out.writeUInt16LE(fastPathOf(targets, control, probe), at.fast_path);
  for (const [i, slot] of targets.syn.slice(0, FIRST_TARGETS).entries()) {
    out.writeUInt16LE(slot, at.first_targets + i * CELL);
  }
  out.writeUInt8(MODES.indexOf(control.mode), at.mode);
  out.writeUInt8(control.reportMoves ? 1 : 0, at.report_moves);
  return out;
}

/** What the program looks at first. */
function fastPathOf({ syn, refuse }: Targets, { standby }: Control, { port }: ProbeTarget): number {
  if (port !== 0 || refuse) return FAST_PATH_NONE;
  return syn.length === 0 && standby !== 0 ? FAST_PATH_NONE : syn.length;
}

/** What of `control` outlives a plan; all of it is zero before the first. */
export function decodeControl(value: Buffer): {
  active: number;
  reportsMoves: boolean;
  probe: ProbeTarget;
} {
  const at = LAYOUT.rm_control.members;
  return {
    active: value.readUInt16LE(at.plan) ? 1 : 0,
    reportsMoves: value.readUInt8(at.report_moves) === 1,
    probe: { port: value.readUInt16LE(at.probe), slot: value.readUInt16LE(at.probe_slot) },
  };
}

/** What is pending of migrations from accept queues, and how many listeners were woken for it. */
export interface MoveReport {
  readonly pending: boolean;
  readonly wakeups: number;
}

export function encodeMoveReport({ pending, wakeups }: MoveReport): Buffer {
  const { size, members: at } = LAYOUT.rm_move_report;
  const out = Buffer.alloc(size);
  out.writeUInt32LE(pending ? 1 : 0, at.pending);
  out.writeBigUInt64LE(BigInt(wakeups), at.wakeups);
  return out;
}

export function decodeMoveReport(value: Buffer | null): MoveReport {
  const at = LAYOUT.rm_move_report.members;
  return {
    pending: value?.readUInt32LE(at.pending) === 1,
    wakeups: Number(value?.readBigUInt64LE(at.wakeups) ?? 0n),
  };
}
