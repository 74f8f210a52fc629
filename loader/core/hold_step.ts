/**
 * Decides the next step of a group's standby. Pure: no kernel, no clock.
 *
 * While there is a target the standby is idle. When the last target leaves, a hold begins. It ends
 * when a server listens again, when its time is up, or when a command releases it (shuts the
 * standby down).
 */
import type { HoldResult } from "./abi.ts";
import type { HoldPolicy } from "./slot.ts";

/** A group whose policy has a hold. Times in ms of CLOCK_BOOTTIME. */
export interface Situation {
  readonly hold: HoldPolicy;
  /** Number of targets, without the standby. */
  readonly targets: number;
  /** Listeners have left since the last step. */
  readonly left: boolean;
  /** `deaf`: the socket is open but no longer listens, as a command shut it down. */
  readonly standby: "none" | "listens" | "deaf";
  /** Connections and handshakes on the standby. */
  readonly waiting: number;
  /** Start of the current hold; null: none. */
  readonly heldSinceMs: number | null;
  readonly nowMs: number;
}

export interface Step {
  /**
   * `open` a standby; `renew`: replace it, so that its connections migrate to the targets;
   * `close` it; `keep` it as it is.
   */
  readonly standby: "keep" | "open" | "renew" | "close";
  /** A hold begins. */
  readonly starts?: true;
  /** The current hold ends with this result. */
  readonly ends?: HoldResult;
}

export function nextStep(now: Situation): Step {
  return now.targets > 0 ? besideTargets(now) : alone(now);
}

function besideTargets({ standby, waiting, heldSinceMs }: Situation): Step {
  if (heldSinceMs !== null) {
    // If the standby no longer listens, its connections were lost with it.
    if (standby === "listens") return { standby: "renew", ends: "handed_over" };
    return { standby: "open", ends: standby === "deaf" ? "released" : "expired" };
  }
  if (standby !== "listens") return { standby: "open" };
  // Connections came after the last targets left and before new ones were known.
  return { standby: waiting > 0 ? "renew" : "keep" };
}

function alone({ hold, left, standby, heldSinceMs, nowMs }: Situation): Step {
  if (heldSinceMs === null) {
    if (standby === "listens") return { standby: "keep", starts: true };
    // A sidecar was killed with its standby, and then the last listener left.
    if (standby === "none" && left) return { standby: "open", starts: true };
    return { standby: standby === "deaf" ? "close" : "keep" };
  }
  if (standby === "deaf") return { standby: "close", ends: "released" };
  if (leftMs(hold, heldSinceMs, nowMs) === 0) return { standby: "close", ends: "expired" };
  // A sidecar was killed during a hold: the next one holds for the remaining time.
  return { standby: standby === "none" ? "open" : "keep" };
}

/** Returns the remaining time of a hold, ms; 0 for one that would begin in the future. */
export function leftMs(hold: HoldPolicy, heldSinceMs: number, nowMs: number): number {
  return heldSinceMs > nowMs ? 0 : Math.max(0, heldSinceMs + hold.timeMs - nowMs);
}
