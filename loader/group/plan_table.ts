/** The active plan of a group's program: the maps `plans` and `control`. */

import type { BpfMap } from "../bpf/map.ts";
import { LAYOUT } from "../core/abi.ts";
import { planLines } from "../core/map_shapes.ts";
import type { Targets } from "../core/targets.ts";
import { Counters } from "./counters.ts";
import {
  type Control,
  decodeControl,
  encodeControl,
  encodePlan,
  NO_PROBE,
  type ProbeTarget,
  type Tables,
} from "./plan_codec.ts";

export class PlanTable {
  readonly #plans: BpfMap;
  readonly #map: BpfMap;
  readonly #counters: Counters;
  readonly #tables: Tables;
  #targets: Targets | null = null;
  #plan: Buffer | null = null;
  /** The current content of `control`. */
  #entry: Buffer = Buffer.alloc(0);
  #active = 0;
  #control: Control = { mode: "select", standby: 0, reportMoves: false };
  #probe = NO_PROBE;
  #reportsMoves = false;

  constructor(maps: { readonly plans: BpfMap; readonly control: BpfMap }, tables: Tables) {
    this.#plans = maps.plans;
    this.#map = maps.control;
    this.#counters = new Counters(maps.control, tables.slots);
    this.#tables = tables;
    this.invalidate();
  }

  /** Reads which plan is active: a command may have changed it. */
  invalidate(): void {
    this.#entry = this.#map.readPart(0, LAYOUT.rm_control.size);
    const { active, reportsMoves, probe } = decodeControl(this.#entry);
    this.#active = active;
    this.#probe = probe;
    this.#reportsMoves = reportsMoves;
    this.#plan = null;
  }

  /** Whether the program reports migrations from accept queues. */
  get reportsMoves(): boolean {
    return this.#reportsMoves;
  }

  /** Writes the plan to the inactive half, then activates it with one write. */
  set(targets: Targets, control: Control): void {
    const plan = encodePlan(targets, this.#tables);
    this.#plan ??= this.#read();
    if (!this.#plan.equals(plan)) {
      this.#active = 1 - this.#active;
      this.#write(plan);
    }
    this.#plan = plan;
    this.#targets = targets;
    this.#control = control;
    this.#setControl();
  }

  /**
   * Steers connections from one client port, in addition to the plan; effective at once. Returns a
   * function that tells whether one has been steered since.
   */
  steer(probe: ProbeTarget): () => boolean {
    this.#probe = probe;
    this.#setControl();
    const before = this.#counters.own();
    return () => this.#counters.own() > before;
  }

  get #lines(): number {
    return planLines(this.#tables.slots, this.#tables.cpus);
  }

  #read(): Buffer {
    return this.#plans.read(this.#active * this.#lines, this.#lines);
  }

  #write(plan: Buffer): void {
    this.#plans.write(this.#active * this.#lines, plan);
  }

  #setControl(): void {
    if (this.#targets === null) return; // written with the first plan
    const entry = encodeControl(
      this.#active,
      this.#targets,
      this.#control,
      this.#probe,
      this.#tables,
    );
    if (!this.#entry.equals(entry)) this.#map.writeStart(entry);
    this.#entry = entry;
  }
}
