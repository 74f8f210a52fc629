/** Owners of listeners as text. Pure. */
import type { Owner } from "../core/listener.ts";

/** Returns the owners by command name: `nginx (pid 12, 13)`. */
export function ownersText(owners: readonly Owner[]): string {
  const pids = new Map<string, Set<number>>();
  for (const { comm, pid } of owners) pids.set(comm, (pids.get(comm) ?? new Set()).add(pid));
  return [...pids].map(([comm, of]) => `${comm} (pid ${[...of].join(", ")})`).join(", ");
}
