/** A sidecar's adopted cgroup: kept in force, given back, and what is to be said of it. */

import type { PinTree } from "../bpf/pin_tree.ts";
import { endpoint, isMember, type Listener } from "../core/listener.ts";
import type { Spec } from "../core/spec.ts";
import type { Journal } from "../log.ts";
import { excludedBy, type Filter, matchGroups, specOf } from "../observe/coverage.ts";
import { adopt, unadopt } from "./adopt.ts";
import type { AdoptedPort } from "./adoption_record.ts";
import { type AdoptionStatus, readAdoption } from "./adoption_status.ts";

export interface AdoptOptions {
  /** As in /proc/PID/cgroup; it need not exist yet. Which groups are covered is the filter's to say. */
  readonly cgroup: string;
  /** Listeners one group may have before it looks as if a copy too many was started. */
  readonly max: number;
}

/** Reports on, and looks after, the ports of one sidecar in its adopted cgroup. */
export class AdoptedCgroup {
  readonly #options: AdoptOptions;
  readonly #specs: readonly Spec[];
  readonly #journal: Journal;
  /** Those a `detach` took from us are not ours again until the sidecar is restarted. */
  readonly #ports: Set<number>;
  #started = false;

  constructor(options: AdoptOptions, specs: readonly Spec[], journal: Journal) {
    this.#options = options;
    this.#specs = specs;
    this.#journal = journal;
    this.#ports = new Set(specs.map(({ port }) => port));
  }

  /** Adopts; when it throws, it has changed nothing. Wants the state's lock. */
  start(pinTree: PinTree, listeners: readonly Listener[], filter: Filter): void {
    const { cgroup } = this.#options;
    adopt(pinTree, cgroup, this.#ports);
    this.#started = true;
    const text = `adopted the cgroup ${cgroup}: its TCP binds to ${list(this.#ports)} set SO_REUSEPORT`;
    this.#journal.say("cgroup_adopted", text, { cgroup });
    this.#warn(listeners, this.status(pinTree)[0]?.ports ?? [], filter);
  }

  /** One pass: mends what was lost, warns of what lasts. Wants the state's lock. */
  look(pinTree: PinTree, listeners: readonly Listener[], filter: Filter): void {
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

  /** Undoes what this service adopted, but for `kept`; other ports of the cgroup stay adopted. Wants the state's lock. */
  giveBack(pinTree: PinTree, kept: ReadonlySet<number>): void {
    const { cgroup } = this.#options;
    const going = new Set([...this.#ports].filter((port) => !kept.has(port)));
    for (const { ports } of unadopt(pinTree, going, cgroup)) {
      const text = `the cgroup ${cgroup} is adopted no more on ${list(ports)}`;
      this.#journal.say("cgroup_unadopted", text, { cgroup });
    }
  }

  /** Nothing is said of it any more. */
  retire(): void {
    this.#say("adopt", []);
    this.#say("adopt-max", []);
  }

  /** Ports that are pinned no more: another command detached them. */
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

  /** Listeners of the cgroup that cannot share their port. */
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
        `${who} was bound without SO_REUSEPORT before its cgroup was adopted: start it once more${restart}`,
      ];
    });
  }

  /** Groups with more listeners than a server and its successor have. */
  #tooMany(listeners: readonly Listener[], filter: Filter): string[] {
    const { max } = this.#options;
    return matchGroups(listeners, this.#specs, filter).flatMap((match) => {
      // Our own is the standby.
      const members = match.members.filter(({ owners }) => owners[0]?.pid !== process.pid);
      const [first] = members;
      if (!first || members.length <= max) return [];
      const pids = new Set(members.flatMap(({ owners }) => owners.map(({ pid }) => pid)));
      return [
        `${endpoint(first.key)} has ${members.length} listeners, of pids ${[...pids].join(", ")}: copies started by mistake share the port; stop those that are too many, or allow them with --adopt-max`,
      ];
    });
  }
}

function refused(ports: readonly AdoptedPort[]): string[] {
  return ports
    .filter(({ failed }) => failed > 0)
    .map(
      ({ port, failed }) =>
        `the kernel refused SO_REUSEPORT at ${failed} binds to port ${port}: Linux 6.1 or newer is needed`,
    );
}

function list(ports: Iterable<number>): string {
  const all = [...ports].sort((a, b) => a - b);
  return `port${all.length === 1 ? "" : "s"} ${all.join(", ")}`;
}
