/** The plan that a group's program goes by: `plans` and `control`. */
import { LAYOUT, planLines } from "./abi.ts";
import type { BpfMap } from "./map.ts";
import {
  type Control,
  decodeControl,
  encodeControl,
  encodePlan,
  NO_PROBE,
  type Probe,
  type Tables,
} from "./plan_codec.ts";
import type { Targets } from "./targets.ts";

const LINE = LAYOUT.rm_line.size;

export class PlanInForce {
  readonly #plans: BpfMap;
  readonly #map: BpfMap;
  readonly #tables: Tables;
  #targets: Targets | null = null;
  #plan: Buffer | null = null;
  #active = 0;
  #control: Control = { mode: "select", standby: 0, tell: false };
  #probe = NO_PROBE;
  #tells = false;

  constructor(maps: { readonly plans: BpfMap; readonly control: BpfMap }, tables: Tables) {
    this.#plans = maps.plans;
    this.#map = maps.control;
    this.#tables = tables;
    this.reload();
  }

  /** Reads again what a command may have changed meanwhile: which plan is in force. */
  reload(): void {
    const { active, tells, probe } = decodeControl(this.#map.lookup(0));
    this.#active = active;
    this.#probe = probe;
    this.#tells = tells;
    this.#plan = null;
  }

  /** It tells of migrations from accept queues. */
  get tells(): boolean {
    return this.#tells;
  }

  /** Written whole where the program does not look, then flipped in. */
  set(targets: Targets, control: Control): void {
    const plan = encodePlan(targets, this.#tables.slots);
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

  /** Steers connections from one client port; in force at once, beside any plan. */
  steer(probe: Probe): void {
    this.#probe = probe;
    this.#setControl();
  }

  get #lines(): number {
    return planLines(this.#tables.slots);
  }

  #read(): Buffer {
    const size = this.#lines * LINE;
    return this.#plans.readAll().subarray(this.#active * size, (this.#active + 1) * size);
  }

  #write(plan: Buffer): void {
    const first = this.#active * this.#lines;
    for (let line = 0; line < this.#lines; line++) {
      this.#plans.update(first + line, plan.subarray(line * LINE, (line + 1) * LINE));
    }
  }

  #setControl(): void {
    if (this.#targets === null) return; // with the first plan
    const entry = encodeControl(
      this.#active,
      this.#targets,
      this.#control,
      this.#probe,
      this.#tables,
    );
    if (!this.#map.lookup(0)?.equals(entry)) this.#map.update(0, entry);
  }
}
