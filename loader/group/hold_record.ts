/** The pinned records of a group's standby and of its holds. Pure. */
import {
  type HeldResult,
  HOLD_BUCKETS,
  type HoldResult,
  LAYOUT,
  OPTIONS_LEN,
} from "../core/abi.ts";
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
  return { cookie, heldSinceMs: held_ms || null, options: parseOptions(options) };
}

/** Returns the options of a JSON text, or none if it is not one that {@link encodeStandby} wrote. */
function parseOptions(json: string): SocketOptions {
  let value: unknown;
  try {
    value = JSON.parse(json || "{}");
  } catch {
    return {};
  }
  if (typeof value !== "object" || value === null) return {};
  const isBytes = (it: unknown) => typeof it === "string" && /^([0-9a-f]{2})+$/.test(it);
  return Object.values(value).every(isBytes) ? (value as SocketOptions) : {};
}

/** Connections and handshakes of standbys that closed. */
export type HeldConnections = Readonly<Record<HeldResult, number>>;

export const NO_CONNECTIONS: HeldConnections = { handed_over: 0, reset: 0 };

/** `1 held connection was reset`, `3 held connections were handed over and 2 were reset`. */
export function heldText({ handed_over, reset }: HeldConnections): string {
  if (handed_over + reset === 0) return "no connection was held";
  const were = (count: number, what: string) => `${count === 1 ? "was" : "were"} ${what}`;
  const held = (count: number) => `${count} held connection${count === 1 ? "" : "s"} `;
  if (handed_over === 0) return held(reset) + were(reset, "reset");
  const passed = held(handed_over) + were(handed_over, "handed over");
  return reset === 0 ? passed : `${passed} and ${reset} ${were(reset, "reset")}`;
}

/** Holds since the group was pinned. */
export interface HoldCounts extends Readonly<Record<HoldResult, number>> {
  readonly started: number;
  /** Total duration of ended holds, ms. */
  readonly sumMs: number;
  /** Ended holds by duration; index as HOLD_BUCKETS, not cumulative. */
  readonly buckets: readonly number[];
  readonly connections: HeldConnections;
}

/** Returns the counts after one more hold, which ended after `heldMs`; less than 0 counts as 0. */
export function addEnded(holds: HoldCounts, result: HoldResult, heldMs: number): HoldCounts {
  const ms = Math.max(0, heldMs);
  const bucket = HOLD_BUCKETS.findIndex((seconds) => ms <= seconds * 1000);
  return {
    ...holds,
    [result]: holds[result] + 1,
    sumMs: holds.sumMs + ms,
    buckets: holds.buckets.map((count, i) => (i === bucket ? count + 1 : count)),
  };
}

/** Returns the counts after a standby with these connections closed. */
export function addConnections(holds: HoldCounts, held: HeldConnections): HoldCounts {
  const { handed_over, reset } = holds.connections;
  const connections = {
    handed_over: handed_over + held.handed_over,
    reset: reset + held.reset,
  };
  return { ...holds, connections };
}

export function encodeHoldCounts({ sumMs, connections, ...counts }: HoldCounts): Buffer {
  return LAYOUT.rm_hold_counts.encode({
    ...counts,
    sum_ms: sumMs,
    connections_handed_over: connections.handed_over,
    connections_reset: connections.reset,
  });
}

/** @param value null: nothing is pinned */
export function decodeHoldCounts(value: Buffer | null): HoldCounts {
  const {
    sum_ms: sumMs,
    connections_handed_over: handed_over,
    connections_reset: reset,
    ...counts
  } = LAYOUT.rm_hold_counts.decode(value);
  return { ...counts, sumMs, connections: { handed_over, reset } };
}
