/** What a group's record says of its policy: the one list of what is pinned of it. */
import type { GroupMatch } from "../core/listener.ts";
import { capacityFor } from "../core/plan.ts";
import type { Policy } from "../core/slot.ts";

/** What of a policy is pinned. */
export function recorded({ migrate, route, settings = "prefer", hold = null }: Policy) {
  return { migrate, route, settings, hold };
}

/** The record of a group that was not pinned before. */
export function newRecord({ members, service }: GroupMatch, policy: Policy) {
  const [first] = members;
  if (!first) throw new Error("a group has a listener");
  const { key, uid } = first;
  const slots = capacityFor(members.length);
  return { abiVersion: 0, key, uid, ...recorded(policy), slots, attachments: 0, service };
}
