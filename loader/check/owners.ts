/** Owners of listeners as text. Pure. */
import type { Owner } from "../core/listener.ts";

/** Returns the owners by command name: `nginx (pid 12, 13)`. */
export function ownersText(owners: readonly Owner[]): string {
  const pids = new Map<string, Set<number>>();
  for (const { comm, pid } of owners) pids.set(comm, (pids.get(comm) ?? new Set()).add(pid));
  return [...pids].map(([comm, of]) => `${comm} (pid ${[...of].join(", ")})`).join(", ");
}

/**
 * Returns what makes a server set SO_REUSEPORT that does not.
 * @param cgroup the server's, or null if it is not known
 */
export function adoptAdvice(port: number, cgroup: string | null): string {
  if (cgroup === "/") {
    // It has every process of the host: adoption would set the option for all of them.
    return `start the server by 'reuseport-migrate exec :${port} -- COMMAND', or in a unit and attach with --adopt --unit NAME`;
  }
  return `run 'reuseport-migrate attach :${port} --adopt --cgroup ${cgroup ?? "PATH"}' and restart the server once`;
}
