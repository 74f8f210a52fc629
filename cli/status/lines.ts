/** `status --watch` through a pipe: a line for each group that changed. Pure. */
import { formatEndpoint } from "../../loader/core/address.ts";
import type { GroupStatus } from "../../loader/operate/status.ts";
import { nameOf, rateText } from "../output/decisions.ts";
import { netnsText } from "../output/status_text.ts";
import type { Reading } from "./reading.ts";

/** Returns the changes since the last reading; of the first one, every group. */
export function changes(reading: Reading, time: string): string[] {
  const { groups } = reading.status;
  const lines = groups.flatMap((group) => {
    const before = reading.before(group);
    const decided = decidedText(reading, group);
    const changed = before === null || decided !== "" || stateText(before) !== stateText(group);
    return changed ? [`${nameText(group)} ${stateText(group)}${decided && `; ${decided}`}`] : [];
  });
  const detached = reading.gone.map((group) => `${nameText(group)} is no longer attached`);
  if (groups.length === 0 && (reading.first || detached.length > 0))
    detached.push("nothing is attached");
  return [...lines, ...detached].map((line) => `${time} ${line}`);
}

function nameText(group: GroupStatus): string {
  const { key } = group;
  return `${formatEndpoint(key.family, key.address, key.port)} (netns ${netnsText(group)})`;
}

/** `1 target (generation 3), 1 draining (generation 2); queued 4, half-open 20`. */
function stateText({ listeners, hold }: GroupStatus): string {
  const kinds = listeners.map(({ role, generation }) =>
    generation === null ? role : `${role} (generation ${generation})`,
  );
  const counts = [...new Set(kinds)].map(
    (kind) => `${kinds.filter((other) => other === kind).length} ${kind}`,
  );
  const sum = (of: "queueLength" | "halfOpen") =>
    listeners.reduce((count, listener) => count + listener[of], 0);
  const holding = hold?.holding ? `, holding ${hold.connections}` : "";
  const roles = counts.length > 0 ? counts.join(", ") : "nothing listens";
  return `${roles}; queued ${sum("queueLength")}, half-open ${sum("halfOpen")}${holding}`;
}

/** `accept_queue selected 5 (5/s), syn kernel 310 (309/s)`. */
function decidedText(reading: Reading, group: GroupStatus): string {
  return reading
    .since(group)
    .map((d) => `${nameOf(d)} ${d.count} (${rateText(reading.rate(group, d))}/s)`)
    .join(", ");
}
