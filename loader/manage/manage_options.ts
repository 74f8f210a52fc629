/** The options of a managed group, and the result of a refresh. */

import type { Plan } from "../core/plan.ts";
import type { HoldPolicy, Policy } from "../core/slot.ts";
import type { ReadyCheck } from "../hold/ready_check.ts";
import type { Attached } from "./attach.ts";
import type { News } from "./group_news.ts";
import type { OptionDifference } from "./option_differences.ts";

export interface GroupHoldOptions {
  readonly hold?: HoldPolicy | null;
  /** A hold ends only when a new listener passes this. */
  readonly readyCheck?: ReadyCheck;
  /** Without a hold, too, new listeners are targets only when they have passed the check. */
  readonly readyFirst?: boolean;
  /** Called when a connection arrives at the standby. */
  readonly arrived?: () => void;
}

/** A plan that is in force, on a group whose program is attached. */
export interface Applied {
  readonly plan: Plan;
  readonly attached: Attached;
}

export interface HoldPoll extends Applied {
  /** Conditions that last until a person changes something, one sentence each. */
  readonly warnings: readonly string[];
}

export interface ManageOptions extends Policy, GroupHoldOptions {
  /** Replace the program of another owner. */
  readonly replace: boolean;
}

/** What was pinned before a group was managed; `replacedAbi` null: its records cannot be read. */
export type Origin = "new" | "taken_over" | { readonly replacedAbi: number | null };

/** The result of a refresh, for the log. */
export interface Refreshed extends Omit<HoldPoll, "attached"> {
  /** It has more slots than before. */
  readonly hasGrown: boolean;
  /** Why it has too few slots for its listeners; null: it has not failed to grow. */
  readonly growthFailure: string | null;
  /** The program was attached again: the kernel had re-created the group. */
  readonly reattached: boolean;
  /** The program is not attached: no owner lends a listener. */
  readonly unreachable: boolean;
  readonly news: News;
  /** Classes that listen side by side, each pair reported once. */
  readonly optionDifferences: readonly OptionDifference[];
}
