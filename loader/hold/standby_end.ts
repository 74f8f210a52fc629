/** The end of a standby: closes it, and counts what became of its connections. */
import { type Listener, NO_QUEUES, type Queues, type QueuesByCookie } from "../core/listener.ts";
import { queueDecisions } from "../group/counters.ts";
import type { Group } from "../group/group.ts";
import { addConnections, type HeldConnections } from "../group/hold_record.ts";
import { shutDown } from "../net/foreign_listener.ts";
import { splitStandby } from "./members.ts";

/** What a snapshot shows of a standby. */
export interface SeenStandby {
  readonly queues: Queues;
  /** There are other listeners in its group. */
  readonly hasOthers: boolean;
}

/**
 * Closes a group's standby. The kernel runs the program for each connection of its accept queue that
 * can migrate, and resets the others.
 * @param close returns the length of the accept queue just before; null: there is nothing to count
 * @returns what became of its connections; null if `close` returned null
 */
export function endStandby(
  group: Group,
  seen: SeenStandby,
  close: () => number | null,
): HeldConnections | null {
  const decisions = () => queueDecisions(group.migrationsOf(group.standbySlot));
  const before = decisions();
  const length = close();
  if (length === null) return null;
  const held = whatBecame(length, seen, decisions() - before);
  if (held.handed_over + held.reset > 0) {
    group.setHoldCounts(addConnections(group.holdCounts, held));
  }
  return held;
}

/**
 * Returns what became of the connections of a standby that closed, and of its handshakes, whose
 * final ACK finds another listener or none.
 * @param length of its accept queue
 * @param decided connections of its accept queue for which the kernel ran the program
 */
export function whatBecame(
  length: number,
  { queues, hasOthers }: SeenStandby,
  decided: number,
): HeldConnections {
  // No process accepts from a standby: what is missing in its queue is a handshake still.
  const halfOpen = Math.max(0, queues.length + queues.halfOpen - length);
  const migrate = hasOthers || decided > 0;
  return {
    handed_over: decided + (migrate ? halfOpen : 0),
    reset: Math.max(0, length - decided) + (migrate ? 0 : halfOpen),
  };
}

/**
 * Shuts down the standby that another process has in a group.
 * @returns what became of its connections; null if there is none, or no owner lends it
 * @requires the pin tree's lock
 */
export function shutDownStandby(
  group: Group,
  members: readonly Listener[],
  queues: QueuesByCookie,
): HeldConnections | null {
  const { standby, listeners } = splitStandby(group, members);
  if (!standby) return null;
  const seen = {
    queues: queues.get(standby.cookie) ?? NO_QUEUES,
    hasOthers: listeners.length > 0,
  };
  return endStandby(group, seen, () => shutDown(standby));
}
