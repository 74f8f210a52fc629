/** Which events a user asked for. Pure. */
import { LEVELS } from "../../loader/core/abi.ts";
import { groupKeyOf } from "../../loader/core/listener.ts";
import { matchesSpec, type Spec } from "../../loader/core/spec.ts";
import type { PastEvent } from "../../loader/events/event_record.ts";

export interface Selection {
  /** Events of groups that one of them covers; empty: all events. */
  readonly specs: readonly Spec[];
  /** The least level. */
  readonly level: (typeof LEVELS)[number];
  /** Names of events; empty: all. */
  readonly names: readonly string[];
  /** Ms since 1970. */
  readonly sinceMs: number;
}

export function isSelected(event: PastEvent, { specs, level, names, sinceMs }: Selection): boolean {
  if (event.timeMs < sinceMs || LEVELS.indexOf(event.level) < LEVELS.indexOf(level)) return false;
  if (names.length > 0 && !names.includes(event.event)) return false;
  if (specs.length === 0) return true;
  const key = groupKeyOf(groupOf(event));
  return key !== null && specs.some((spec) => matchesSpec(spec, key));
}

/** Returns the name of the group that an event is about; warnings begin with it. */
function groupOf({ fields }: PastEvent): string {
  return String(fields["group"] ?? fields["about"] ?? "").split(" ")[0] ?? "";
}
