/** Reads the status of one group, in the form that tests compare. */
import assert from "node:assert/strict";
import { readStatus } from "../../../loader/index.ts";
import { Observer } from "../../../loader/observe/observer.ts";

export type GroupStatus = ReturnType<typeof readStatus>["groups"][number];

/** Returns the only group pinned for `port`. */
export function groupOf(port: number, bpffs = "/sys/fs/bpf"): GroupStatus {
  const groups = readStatus({ bpffs }).groups.filter((group) => group.key.port === port);
  assert.equal(groups.length, 1, `groups pinned for port ${port}`);
  return groups[0] as GroupStatus;
}

/**
 * Returns the decisions that are not zero: `{"accept_queue/selected": 50, "syn/fallback/gone": 1}`.
 */
export function decisions(group: GroupStatus): Record<string, number> {
  return Object.fromEntries(
    group.decisions.map(({ stage, outcome, reason, count }) => [
      reason === undefined ? `${stage}/${outcome}` : `${stage}/${outcome}/${reason}`,
      Number(count),
    ]),
  );
}

/** Returns the decisions about existing connections. */
export function migratingDecisions(group: GroupStatus): Record<string, number> {
  return Object.fromEntries(
    Object.entries(decisions(group)).filter(([name]) => !name.startsWith("syn/")),
  );
}

export function listenerOf(group: GroupStatus, cookie: string): GroupStatus["listeners"][number] {
  const found = group.listeners.find((listener) => String(listener.cookie) === cookie);
  assert.ok(found, `listener ${cookie} is not in status`);
  return found;
}

/** Returns the id of the program that is attached to the group of a port; null: none. */
export function programOn(port: number): number | null {
  using observer = new Observer();
  const listeners = observer.read().listeners.filter(({ key }) => key.port === port);
  return listeners[0]?.programId ?? null;
}
