/** What the sidecar's status says of one start of the server: whether it listens, and what it still has. */

import type { ServerCgroup } from "../../loader/host/server_cgroup.ts";
import type { ListenerStatus, Status } from "../../loader/operate/status.ts";

/** The cgroup of one start, by its processes. */
type Members = Pick<ServerCgroup, "has">;

/** The SPECs for which a process of the cgroup has a listener that is known to the program, or never will be: MPTCP. */
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
 * Whether no connection is on its way to a process of the cgroup: its listeners are all of an older
 * generation than others of their group, so that new ones go there, and what they had was accepted.
 */
export function getsNoMore(status: Status, cgroup: Members): boolean {
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
