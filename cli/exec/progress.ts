/** Reads the progress of one start of the server from a status. Pure. */

import type { ServerCgroup } from "../../loader/host/server_cgroup.ts";
import type { ListenerStatus, Status } from "../../loader/operate/status.ts";

/** The cgroup of one start. */
type Members = Pick<ServerCgroup, "has">;

/**
 * Returns the SPECs for which a process of the cgroup has a listener with a slot, which it gets
 * when it is ready, or one that never gets a slot (MPTCP).
 */
export function listensOn(status: Status, cgroup: Members): Set<string> {
  const services = status.groups.filter(({ listeners }) =>
    listeners.some(
      (listener) =>
        (listener.slot !== null || listener.protocol === "mptcp") && isOf(listener, cgroup),
    ),
  );
  return new Set(services.map(({ service }) => service));
}

/**
 * Returns whether no connection can reach a process of the cgroup: all its listeners are of an
 * older generation, so that new connections go elsewhere, and their queues are empty.
 */
export function isDrained(status: Status, cgroup: Members): boolean {
  return status.groups.every(({ listeners }) => {
    const newest = Math.max(...listeners.map(({ generation }) => generation ?? 0));
    return listeners
      .filter((listener) => isOf(listener, cgroup))
      .every(
        ({ generation, queueLength, halfOpen }) =>
          (generation ?? newest) < newest && queueLength === 0 && halfOpen === 0,
      );
  });
}

function isOf({ owners }: ListenerStatus, cgroup: Members): boolean {
  return owners.some(({ pid }) => cgroup.has(pid));
}
