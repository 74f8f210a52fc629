/** The duration of holds, as a histogram whose counts are in the kernel. Pure. */
import { HOLD_BUCKETS } from "../../loader/core/abi.ts";
import type { HoldCounts } from "../../loader/group/hold_record.ts";

/** A series of a histogram: suffix of its name, label as OpenMetrics requires it, value. */
export interface Series {
  readonly suffix: "_bucket" | "_sum" | "_count";
  readonly le?: string;
  readonly value: number;
}

/** Returns cumulative buckets, sum and count of the ended holds of one group. */
export function holdSeconds(holds: HoldCounts): Series[] {
  const count = holds.handed_over + holds.expired + holds.released;
  let below = 0;
  const buckets = HOLD_BUCKETS.map((le, i): Series => {
    below += holds.buckets[i] ?? 0;
    return { suffix: "_bucket", le: Number.isInteger(le) ? `${le}.0` : String(le), value: below };
  });
  return [
    ...buckets,
    { suffix: "_bucket", le: "+Inf", value: count },
    { suffix: "_sum", value: holds.sumMs / 1000 },
    { suffix: "_count", value: count },
  ];
}
