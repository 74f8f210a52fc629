/** What `status` says of one group, in the words of the tests. */
import assert from "node:assert/strict";
import { readStatus } from "../../../loader/index.ts";

export type GroupStatus = ReturnType<typeof readStatus>["groups"][number];

/** The only group pinned for `port`. */
export function groupOf(port: number, bpffs = "/sys/fs/bpf"): GroupStatus {
  const groups = readStatus({ bpffs }).groups.filter((group) => group.key.port === port);
  assert.equal(groups.length, 1, `groups pinned for port ${port}`);
  return groups[0] as GroupStatus;
}

/** Non-zero decisions: `{"accept_queue/selected": 50, "syn/fallback/gone": 1}`. */
export function decisions(group: GroupStatus): Record<string, number> {
  return Object.fromEntries(
    group.decisions.map(({ stage, outcome, reason, count }) => [
      reason === undefined ? `${stage}/${outcome}` : `${stage}/${outcome}/${reason}`,
      Number(count),
    ]),
  );
}

/** Decisions about connections that existed already, whatever was decided. */
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
