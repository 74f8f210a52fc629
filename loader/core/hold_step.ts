/**
 * hold: what a group's standby is to do next. Pure: no kernel, no clock.
 *
 * While a target lives the standby stands by. When none is left a hold begins; it ends when
 * somebody listens again, when its time is up, or when it is released (the standby was shut down).
 */
import type { HoldResult } from "./abi.ts";
import type { HoldPolicy } from "./slot.ts";

/** A group with a standby, or that should have one. Times: ms of CLOCK_BOOTTIME. */
export interface Situation {
  readonly hold: HoldPolicy;
  /** Listeners that may be chosen, the standby left out. */
  readonly targets: number;
  /** Listeners have left since it was looked at before. */
  readonly left: boolean;
  /** `deaf`: we have the socket, and it does not listen (somebody shut it down). */
  readonly standby: "none" | "listens" | "deaf";
  /** Connections and handshakes on the standby. */
  readonly waiting: number;
  /** When the hold under way began; null: none. */
  readonly heldSinceMs: number | null;
  readonly nowMs: number;
}

export interface Step {
  /**
   * `open` a standby; `renew`: close it, so that what it holds moves to the targets, with a new one
   * in its place; `close` it; `keep` things as they are.
   */
  readonly standby: "keep" | "open" | "renew" | "close";
  /** A hold begins. */
  readonly starts?: true;
  /** The hold under way ends. */
  readonly ends?: HoldResult;
}

export function nextStep(now: Situation): Step {
  return now.targets > 0 ? besideTargets(now) : alone(now);
}

function besideTargets({ standby, waiting, heldSinceMs }: Situation): Step {
  if (heldSinceMs !== null) {
    // Without a standby that listens what it held was lost with it.
    if (standby === "listens") return { standby: "renew", ends: "handed_over" };
    return { standby: "open", ends: standby === "deaf" ? "released" : "expired" };
  }
  if (standby !== "listens") return { standby: "open" };
  // Came while its only targets had just left and new ones were not known yet.
  return { standby: waiting > 0 ? "renew" : "keep" };
}

function alone({ hold, left, standby, heldSinceMs, nowMs }: Situation): Step {
  if (heldSinceMs === null) {
    if (standby === "listens") return { standby: "keep", starts: true };
    // The standby went with a sidecar that was killed, and the last listener unseen after it.
    if (standby === "none" && left) return { standby: "open", starts: true };
    return { standby: standby === "deaf" ? "close" : "keep" };
  }
  if (standby === "deaf") return { standby: "close", ends: "released" };
  if (nowMs - heldSinceMs >= hold.timeMs) return { standby: "close", ends: "expired" };
  // A sidecar was killed in the middle of a hold: its successor holds for the time that is left.
  return { standby: standby === "none" ? "open" : "keep" };
}

/** What is left of a hold, ms. */
export function leftMs(hold: HoldPolicy, heldSinceMs: number, nowMs: number): number {
  return Math.max(0, heldSinceMs + hold.timeMs - nowMs);
}
