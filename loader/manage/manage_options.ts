/** The options of a managed group, and the result of a refresh. */

import type { Policy } from "../core/slot.ts";
import type { GroupHoldOptions, HoldPoll } from "./group_hold.ts";
import type { OptionDifference } from "./option_differences.ts";

export interface ManageOptions extends Policy, GroupHoldOptions {
  /** Replace the program of another owner. */
  readonly replace: boolean;
}

/** The result of a refresh, for the log. */
export interface Refreshed extends Omit<HoldPoll, "attached"> {
  /** The program was attached again: the kernel had re-created the group. */
  readonly reattached: boolean;
  /** The program is not attached: no owner lends a listener. */
  readonly unreachable: boolean;
  /** Classes that listen side by side, each pair reported once. */
  readonly optionDifferences: readonly OptionDifference[];
}
