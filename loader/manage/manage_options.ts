/** How a group is managed, and what a step of it did. */

import type { Plan } from "../core/plan.ts";
import type { Policy } from "../core/slot.ts";
import type { GroupHoldOptions } from "./group_hold.ts";
import type { HoldEvent } from "./hold_runner.ts";
import type { OptionDifference } from "./option_differences.ts";

export interface ManageOptions extends Policy, GroupHoldOptions {
  /** Override a foreign program. */
  readonly replace: boolean;
}

/** What a refresh did, for the log. */
export interface Refreshed {
  readonly plan: Plan;
  /** The program was attached again: the kernel's group had been re-created. */
  readonly reattached: boolean;
  /** Nothing is attached: no owner of a listener could be borrowed from. */
  readonly unreachable: boolean;
  /** A hold began or ended. */
  readonly hold: HoldEvent | null;
  /** Classes that listen side by side, said for the first time. */
  readonly optionDifferences: readonly OptionDifference[];
}
