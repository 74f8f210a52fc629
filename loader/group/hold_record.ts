/** What is pinned of a group's standby and its holds: the one entry each of `standby` and `holds`. Pure. */
import { HOLD_BUCKETS, HOLD_RESULTS, type HoldResult, LAYOUT, OPTIONS_LEN } from "../core/abi.ts";
import type { SocketOptions } from "../net/socket_options.ts";

/** The standby, as a restarted sidecar needs to know it. */
export interface StandbyRecord {
  /** Its socket cookie; 0n: none. */
  readonly cookie: bigint;
  /** When the hold under way began, ms of CLOCK_BOOTTIME; null: none. */
  readonly heldSinceMs: number | null;
  /** Settings of the listeners it stands by for. */
  readonly settings: SocketOptions;
}

export function encodeStandby(record: StandbyRecord): Buffer {
  const { size, members: at } = LAYOUT.rm_standby;
  const out = Buffer.alloc(size);
  out.writeBigUInt64LE(record.cookie, at.cookie);
  out.writeBigUInt64LE(BigInt(record.heldSinceMs ?? 0), at.held_ms);
  const settings = JSON.stringify(record.settings);
  if (settings.length < OPTIONS_LEN) out.write(settings, at.options, "latin1");
  return out;
}

export function decodeStandby(value: Buffer): StandbyRecord {
  const at = LAYOUT.rm_standby.members;
  const text = value.toString("latin1", at.options);
  return {
    cookie: value.readBigUInt64LE(at.cookie),
    heldSinceMs: Number(value.readBigUInt64LE(at.held_ms)) || null,
    settings: JSON.parse(text.slice(0, text.indexOf("\0")) || "{}"),
  };
}

/** Counts since the group was pinned. */
export interface HoldCounts extends Readonly<Record<HoldResult, number>> {
  readonly started: number;
  /** Time held, ms, of those that ended. */
  readonly sumMs: number;
  /** Those that ended by time held; index as HOLD_BUCKETS, not cumulative. */
  readonly buckets: readonly number[];
}

/** `holds`, and one more that ended after `ms`. */
export function addEnded(holds: HoldCounts, result: HoldResult, ms: number): HoldCounts {
  const bucket = HOLD_BUCKETS.findIndex((seconds) => ms <= seconds * 1000);
  return {
    ...holds,
    [result]: holds[result] + 1,
    sumMs: holds.sumMs + ms,
    buckets: holds.buckets.map((count, i) => (i === bucket ? count + 1 : count)),
  };
}

export function encodeHoldCounts(holds: HoldCounts): Buffer {
  const { size, members: at } = LAYOUT.rm_hold_counts;
  const out = Buffer.alloc(size);
  const write = (count: number, offset: number) => out.writeBigUInt64LE(BigInt(count), offset);
  write(holds.started, at.started);
  for (const result of HOLD_RESULTS) write(holds[result], at[result]);
  write(holds.sumMs, at.sum_ms);
  for (const [i, count] of holds.buckets.entries()) write(count, at.buckets + i * 8);
  return out;
}

export function decodeHoldCounts(value: Buffer): HoldCounts {
  const at = LAYOUT.rm_hold_counts.members;
  const read = (offset: number) => Number(value.readBigUInt64LE(offset));
  return {
    started: read(at.started),
    handed_over: read(at.handed_over),
    expired: read(at.expired),
    released: read(at.released),
    sumMs: read(at.sum_ms),
    buckets: HOLD_BUCKETS.map((_, i) => read(at.buckets + i * 8)),
  };
}
