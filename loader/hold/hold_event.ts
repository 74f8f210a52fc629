/** The beginning or the end of a hold, as the log has it. Pure. */
import type { HoldResult } from "../core/abi.ts";
import { type HeldConnections, heldText } from "../group/hold_record.ts";

/** A hold began; or it ended, or a standby with connections closed. */
export type HoldEvent = "started" | HoldEnd;

export interface HoldEnd {
  /** null: no hold was under way, or it goes on. */
  readonly result: HoldResult | null;
  readonly heldMs: number;
  readonly connections: HeldConnections;
  /** Why it ended before its time; null: a server listened, or a command released it. */
  readonly cause: string | null;
}

/** The cause of an end that this process did not see. */
export const UNSEEN =
  "the hold's time was up while it had no standby; what a sidecar before this one held was reset, and is not counted";

/** Returns whether connections were reset though no operator asked for it. */
export function isLoss({ result, connections, cause }: HoldEnd): boolean {
  const isAskedFor = result === "released" && cause === null;
  return cause === UNSEEN || (connections.reset > 0 && !isAskedFor);
}

/** Returns whether there is anything to say of an end. */
export function isNews({ result, connections }: HoldEnd): boolean {
  return result !== null || connections.reset > 0;
}

/** Returns the sentence of an end. @param timeMs longest time of a hold by the policy */
export function holdEndText(end: HoldEnd, timeMs: number): string {
  const { result, heldMs, connections, cause } = end;
  if (cause === UNSEEN) return cause;
  const after = `after ${heldMs / 1000} s`;
  const how = {
    handed_over: `the hold ended ${after}`,
    expired: `no server came back within ${timeMs / 1000}s`,
    released: `released ${after}`,
  };
  return `${cause ?? how[result ?? "handed_over"]}: ${heldText(connections)}`;
}
