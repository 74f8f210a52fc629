/**
 * A plan as the program reads it: the lines in `plans`, and `control`, which activates them. Pure.
 */
import {
  CANDIDATE_LINES,
  FAST_PATH_NONE,
  LAYOUT,
  LINE_SLOTS,
  MAX_CLASSES,
  type Mode,
  SYN_REFUSE,
} from "../core/abi.ts";
import { cpuLine, planLines } from "../core/map_shapes.ts";
import type { Candidates, Targets } from "../core/targets.ts";

/** Size of a slot number, bytes. */
const SLOT_SIZE = LAYOUT.rm_plan_line.size / LINE_SLOTS;
/** Index of the first target of new connections. */
const SYN_INDEX = CANDIDATE_LINES * LINE_SLOTS;

/** Returns the lines of a plan. */
export function encodePlan(targets: Targets, { slots, cpus }: PlanSize): Buffer {
  const { size, members: at } = LAYOUT.rm_candidates;
  const out = Buffer.alloc(planLines(slots, cpus) * LAYOUT.rm_plan_line.size);
  const put = (list: readonly number[], index: number) => {
    for (const [i, slot] of list.entries()) out.writeUInt16LE(slot, (index + i) * SLOT_SIZE);
  };
  put(targets.syn, SYN_INDEX);
  let next = SYN_INDEX + slots;
  const placed = new Map<Candidates, number>();
  const place = (candidates: Candidates, number: number) => {
    const list = [...candidates.best, ...candidates.rest];
    if (list.length === 0) return;
    // Classes with the same candidates share their place.
    const first = placed.get(candidates) ?? next;
    if (first === next) {
      put(list, first);
      next += list.length;
      placed.set(candidates, first);
    }
    out.writeUInt16LE(first, number * size + at.first);
    out.writeUInt16LE(candidates.best.length, number * size + at.count);
    out.writeUInt16LE(list.length, number * size + at.total);
  };
  for (const [number, candidates] of targets.classes.entries()) place(candidates, number);
  place(targets.other, MAX_CLASSES);
  const byCpu = cpuLine(slots) * LAYOUT.rm_plan_line.size;
  for (const { cpu, from, count } of targets.byCpu) {
    if (cpu >= cpus) continue; // no packet arrives there
    const entry = LAYOUT.rm_cpu_targets.encode({ first: SYN_INDEX + from, count });
    entry.copy(out, byCpu + cpu * entry.length);
  }
  return out;
}

/** The sizes of a plan. */
export interface PlanSize {
  readonly slots: number;
  /** Upper bound of CPU numbers. */
  readonly cpus: number;
}

/** Sizes of the group's maps, for `control`. */
export interface Tables extends PlanSize {
  /** Entries of `sources` - 1. */
  readonly sourceMask: number;
}

/** The parts of `control` that do not depend on the plan. */
export interface Control {
  readonly mode: Mode;
  /** Entry of the standby in `listeners`; 0: none. */
  readonly standby: number;
  /** Report migrations from accept queues. */
  readonly reportMoves: boolean;
}

/** The destination of connections from one client port, regardless of the plan. */
export interface ProbeTarget {
  /** 0: none. */
  readonly port: number;
  /** Entry in `listeners`. */
  readonly slot: number;
}

export const NO_PROBE: ProbeTarget = { port: 0, slot: 0 };

/** @param active index of the active plan: 0 or 1 */
export function encodeControl(
  active: number,
  targets: Targets,
  control: Control,
  probe: ProbeTarget,
  { slots, cpus, sourceMask }: Tables,
): Buffer {
  const { syn, refuse } = targets;
  const { mode, standby, reportMoves } = control;
  return LAYOUT.rm_control.encode({
    plan: active * planLines(slots, cpus),
    probe: probe.port,
    probe_slot: probe.slot,
    source_mask: sourceMask,
    mode,
    report_moves: reportMoves,
    syn_count: refuse ? SYN_REFUSE : syn.length,
    standby,
    fast_path: fastPathOf(targets, control, probe),
    first_targets: syn, // as many as fit
    counters: [],
  });
}

/**
 * Returns the number of targets that the fast path chooses from, 0 for the kernel's hash, or
 * FAST_PATH_NONE.
 */
function fastPathOf(
  { syn, byCpu, refuse }: Targets,
  { standby }: Control,
  { port }: ProbeTarget,
): number {
  if (port !== 0 || refuse || byCpu.length > 0) return FAST_PATH_NONE;
  return syn.length === 0 && standby !== 0 ? FAST_PATH_NONE : syn.length;
}

/** Decodes the parts of `control` that outlive a plan. All are zero before the first plan. */
export function decodeControl(value: Buffer): {
  active: number;
  reportsMoves: boolean;
  probe: ProbeTarget;
} {
  const {
    plan,
    report_moves: reportsMoves,
    probe: port,
    probe_slot: slot,
  } = LAYOUT.rm_control.decode(value);
  return { active: plan ? 1 : 0, reportsMoves, probe: { port, slot } };
}
