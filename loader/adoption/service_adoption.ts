/** The adopted cgroup of a sidecar's service: started, repaired, ended, and its log lines. */

import type { PinTree } from "../bpf/pin_tree.ts";
import { endpoint, isMember, type Listener } from "../core/listener.ts";
import { portsOf, type Spec } from "../core/spec.ts";
import type { Journal } from "../log.ts";
import { excludedBy, type Filter, matchGroups, specOf } from "../observe/coverage.ts";
import { adopt, unadopt } from "./adopt.ts";
import type { AdoptedPort } from "./adoption_record.ts";
import { type AdoptionStatus, readAdoption } from "./adoption_status.ts";

export interface AdoptOptions {
  /** As in /proc/PID/cgroup; it need not exist yet. The filter decides which groups are covered. */
  readonly cgroup: string;
  /** Most listeners of one group before the sidecar warns of copies started by mistake. */
  readonly max: number;
}

/** The adopted ports of one service. */
export class AdoptedCgroup {
  readonly #options: AdoptOptions;
  readonly #specs: readonly Spec[];
  readonly #journal: Journal;
  /** Ports detached by another command are not adopted again before the sidecar restarts. */
  readonly #ports: Set<number>;
  #started = false;

  constructor(options: AdoptOptions, specs: readonly Spec[], journal: Journal) {
    this.#options = options;
    this.#specs = specs;
    this.#journal = journal;
    this.#ports = new Set(portsOf(specs));
  }

  /** Adopts the ports. Changes nothing if it throws. @requires the pin tree's lock */
  start(pinTree: PinTree, listeners: readonly Listener[], filter: Filter): void {
    const { cgroup } = this.#options;
    adopt(pinTree, cgroup, this.#ports);
    this.#started = true;
    const text = `adopted the cgroup ${cgroup}: its TCP binds to ${list(this.#ports)} set SO_REUSEPORT`;
    this.#journal.say("cgroup_adopted", text, { cgroup });
    this.#warn(listeners, this.status(pinTree)[0]?.ports ?? [], filter);
  }

  /** Adopts again if the parent cgroup was re-created, and warns. @requires the pin tree's lock */
  check(pinTree: PinTree, listeners: readonly Listener[], filter: Filter): void {
    if (!this.#started) {
      this.start(pinTree, listeners, filter);
      return;
    }
    const { cgroup } = this.#options;
    const adoption = this.status(pinTree)[0];
    this.#dropUnadopted(adoption?.ports ?? []);
    this.#warn(listeners, adoption?.ports ?? [], filter);
    if (!adoption || adoption.inForce) return;
    adopt(pinTree, cgroup, this.#ports);
    const text = `the parent of the cgroup ${cgroup} was re-created; adopted again`;
    this.#journal.say("cgroup_adopted", text, { cgroup });
  }

  status(pinTree: PinTree): AdoptionStatus[] {
    return readAdoption(pinTree, this.#options.cgroup, this.#ports);
  }

  /** Ends the adoption of this service's ports except `kept`. @requires the pin tree's lock */
  end(pinTree: PinTree, kept: ReadonlySet<number>): void {
    const { cgroup } = this.#options;
    const ended = new Set([...this.#ports].filter((port) => !kept.has(port)));
    for (const { ports } of unadopt(pinTree, ended, cgroup)) {
      const text = `stopped adopting ${list(ports)} in cgroup ${cgroup}`;
      this.#journal.say("cgroup_unadopted", text, { cgroup });
    }
  }

  /** Settles the warnings. */
  settle(): void {
    this.#say("adopt", []);
    this.#say("adopt-max", []);
  }

  /** Drops ports whose pins another command removed. */
  #dropUnadopted(pinned: readonly AdoptedPort[]): void {
    const { cgroup } = this.#options;
    const gone = [...this.#ports].filter((port) => !pinned.some((own) => own.port === port));
    if (gone.length === 0) return;
    for (const port of gone) this.#ports.delete(port);
    const text = `${list(gone)} of the cgroup ${cgroup} was detached by another command; leaving it alone`;
    this.#journal.say("detached_elsewhere", text, { cgroup });
  }

  #warn(listeners: readonly Listener[], ports: readonly AdoptedPort[], filter: Filter): void {
    const own = ports.filter(({ port }) => this.#ports.has(port));
    this.#say("adopt", [...refused(own), ...this.#notShared(listeners, own, filter)]);
    this.#say("adopt-max", this.#tooMany(listeners, filter));
  }

  #say(kind: string, warnings: readonly string[]): void {
    const about = `${kind} ${this.#options.cgroup} ${this.#specs.map(({ text }) => text).join(" ")}`;
    if (warnings.length > 0) this.#journal.warn(about, warnings.join("; "));
    else this.#journal.settled(about);
  }

  /** Returns a sentence per listener of the cgroup that cannot share its port. */
  #notShared(
    listeners: readonly Listener[],
    ports: readonly AdoptedPort[],
    where: Filter,
  ): string[] {
    const { cgroup } = this.#options;
    const filter = { ...where, cgroup };
    const unit = /\/([^/]+\.service)$/.exec(cgroup)?.[1];
    const restart = unit ? ` ('systemctl restart ${unit}')` : "";
    return listeners.flatMap((listener) => {
      const { key, protocol, owners } = listener;
      if (isMember(listener) || !this.#ports.has(key.port) || !specOf(this.#specs, key)) return [];
      if (protocol === "udp" || excludedBy(filter, listener) !== null) return [];
      const who = `${endpoint(key)} of ${owners[0]?.comm} (pid ${owners[0]?.pid})`;
      if (ports.some(({ port, failed }) => port === key.port && failed > 0)) return [];
      return [
        `${who} was bound without SO_REUSEPORT before its cgroup was adopted: restart it${restart}`,
      ];
    });
  }

  /** Returns a sentence per group with more than `max` listeners. */
  #tooMany(listeners: readonly Listener[], filter: Filter): string[] {
    const { max } = this.#options;
    return matchGroups(listeners, this.#specs, filter).flatMap((match) => {
      // The sidecar's own listener is the standby.
      const members = match.members.filter(({ owners }) => owners[0]?.pid !== process.pid);
      const [first] = members;
      if (!first || members.length <= max) return [];
      const pids = new Set(members.flatMap(({ owners }) => owners.map(({ pid }) => pid)));
      return [
        `${endpoint(first.key)} has ${members.length} listeners, of pids ${[...pids].join(", ")}: copies started by mistake share the port; stop the surplus ones, or raise --adopt-max`,
      ];
    });
  }
}

function refused(ports: readonly AdoptedPort[]): string[] {
  return ports
    .filter(({ failed }) => failed > 0)
    .map(
      ({ port, failed }) =>
        `the kernel refused SO_REUSEPORT at ${failed} binds to port ${port}: this requires Linux 6.1 or newer`,
    );
}

function list(ports: Iterable<number>): string {
  const all = [...ports].sort((a, b) => a - b);
  return `port${all.length === 1 ? "" : "s"} ${all.join(", ")}`;
}
