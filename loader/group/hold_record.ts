/** The pinned records of a group's standby and of its holds. Pure. */
import { HOLD_BUCKETS, type HoldResult, LAYOUT, OPTIONS_LEN } from "../core/abi.ts";
import type { SocketOptions } from "../net/socket_options.ts";

/** The standby, for the next sidecar. */
export interface StandbyRecord {
  /** Its socket cookie; 0n: none. */
  readonly cookie: bigint;
  /** Start of the current hold, ms of CLOCK_BOOTTIME; null: none. */
  readonly heldSinceMs: number | null;
  /** Socket options of the group's listeners. */
  readonly options: SocketOptions;
}

export function encodeStandby({ cookie, heldSinceMs, options }: StandbyRecord): Buffer {
  const json = JSON.stringify(options);
  return LAYOUT.rm_standby.encode({
    cookie,
    held_ms: heldSinceMs ?? 0,
    options: json.length < OPTIONS_LEN ? json : "",
  });
}

/** @param value null: nothing is pinned */
export function decodeStandby(value: Buffer | null): StandbyRecord {
  const { cookie, held_ms, options } = LAYOUT.rm_standby.decode(value);
  return { cookie, heldSinceMs: held_ms || null, options: JSON.parse(options || "{}") };
}

/** Holds since the group was pinned. */
export interface HoldCounts extends Readonly<Record<HoldResult, number>> {
  readonly started: number;
  /** Total duration of ended holds, ms. */
  readonly sumMs: number;
  /** Ended holds by duration; index as HOLD_BUCKETS, not cumulative. */
  readonly buckets: readonly number[];
}

/** Returns the counts after one more hold, which ended after `ms`. */
export function addEnded(holds: HoldCounts, result: HoldResult, ms: number): HoldCounts {
  const bucket = HOLD_BUCKETS.findIndex((seconds) => ms <= seconds * 1000);
  return {
    ...holds,
    [result]: holds[result] + 1,
    sumMs: holds.sumMs + ms,
    buckets: holds.buckets.map((count, i) => (i === bucket ? count + 1 : count)),
  };
}

export function encodeHoldCounts({ sumMs, ...counts }: HoldCounts): Buffer {
  return LAYOUT.rm_hold_counts.encode({ ...counts, sum_ms: sumMs });
}

/** @param value null: nothing is pinned */
export function decodeHoldCounts(value: Buffer | null): HoldCounts {
  const { sum_ms: sumMs, ...counts } = LAYOUT.rm_hold_counts.decode(value);
  return { ...counts, sumMs };
}
