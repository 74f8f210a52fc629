/** A service: SPECs, filters and a policy; which groups it covers. */

import { AdoptedCgroup, type AdoptOptions } from "../adoption/service_adoption.ts";
import type { PinTree } from "../bpf/pin_tree.ts";
import type { Wake } from "../core/abi.ts";
import type { GroupKey, Listener } from "../core/listener.ts";
import type { Policy } from "../core/slot.ts";
import type { Spec } from "../core/spec.ts";
import type { Journal } from "../log.ts";
import type { ManageOptions } from "../manage/manage_options.ts";
import type { ReadyCheck } from "../manage/ready_check.ts";
import { NetnsName } from "../net/netns_name.ts";
import { covers, type Filter, specOf } from "../observe/coverage.ts";

export interface ServiceOptions extends Policy {
  /** Less than SERVICE_LEN bytes; default: the SPEC that names the group. */
  readonly name?: string;
  readonly specs: readonly Spec[];
  readonly filter?: Filter;
  /** A network namespace by path or pid, instead of the filter's; it may be created later. */
  readonly netns?: string | number;
  /** Start even if nothing listens yet. */
  readonly wait?: boolean;
  /** Override a foreign program. */
  readonly replace?: boolean;
  /** Set SO_REUSEPORT in the binds of a cgroup; implies `wait`. */
  readonly adopt?: AdoptOptions;
  /** A hold ends only after a new listener has passed this check. */
  readonly readyCheck?: ReadyCheck;
  /**
   * Wake the destinations of migrations: `auto` (while the sidecar watches, if a probe shows that
   * the kernel does not), `always`, or `never` (the default).
   */
  readonly wake?: Wake;
}

export class Service {
  readonly options: ServiceOptions;
  /** How its groups are managed; a different object is a different policy. */
  readonly manage: ManageOptions;
  readonly #journal: Journal;
  readonly #adopted: AdoptedCgroup | null;
  readonly #netns: NetnsName | null;
  /** null: its network namespace does not exist now. */
  #filter: Filter | null;

  /** @param arrived called when a connection arrives at a standby */
  constructor(options: ServiceOptions, journal: Journal, arrived: () => void) {
    const { adopt, specs, filter = {}, netns, replace = false } = options;
    this.options = options;
    this.manage = { ...options, replace, arrived };
    this.#journal = journal;
    this.#adopted = adopt ? new AdoptedCgroup(adopt, specs, journal) : null;
    this.#netns = netns === undefined ? null : new NetnsName(netns);
    this.#filter = this.#netns ? null : filter;
  }

  /** Its name in the log and in reloads. */
  get label(): string {
    const { name, specs } = this.options;
    return name ?? specs.map(({ text }) => text).join(" ");
  }

  get waits(): boolean {
    return this.options.wait === true || this.#adopted !== null;
  }

  get adopts(): boolean {
    return this.#adopted !== null;
  }

  /** Something may change without an event: its network namespace, or the parent of its cgroup. */
  get isUnsettled(): boolean {
    if (this.#adopted !== null) return true;
    try {
      return this.#netns?.hasChanged === true;
    } catch {
      return true; // the next pass reports the error
    }
  }

  get ports(): number[] {
    return this.options.specs.map(({ port }) => port);
  }

  /** The filter now; nothing passes while the network namespace does not exist. */
  get filter(): Filter {
    return this.#filter ?? { netns: 0 };
  }

  /** Finds its network namespace; a failure is logged once. */
  locate(): void {
    const netns = this.#netns;
    if (netns === null) return;
    this.#filter = null;
    this.#journal.attempt(`netns ${this.label}`, () => {
      const inode = netns.locate();
      if (inode === null) throw new Error(`${this.label} waits: ${netns.failure}`);
      this.#filter = { ...this.options.filter, netns: inode };
    });
  }

  /** Forgets its network namespace if it is one of these, which no longer exist. */
  forget(netns: ReadonlySet<number>): void {
    this.#netns?.forget(netns);
  }

  /** Returns its name for a group with these listeners; null if it does not cover the group. */
  nameFor(members: readonly Listener[]): string | null {
    const spec = covers(members, this.options.specs, this.filter);
    return spec ? (this.options.name ?? spec.text) : null;
  }

  /**
   * Returns its name for a group without listeners, so that only SPECs and the namespace decide.
   */
  nameAt(key: GroupKey): string | null {
    const spec = specOf(this.options.specs, key);
    const { netns } = this.filter;
    if (!spec || (netns !== undefined && netns !== key.netns)) return null;
    return this.options.name ?? spec.text;
  }

  /**
   * Adopts its cgroup, if it has one.
   * @requires the pin tree's lock
   */
  adopt(pinTree: PinTree, listeners: readonly Listener[]): void {
    this.#adopted?.start(pinTree, listeners, this.filter);
  }

  /**
   * Restores its adoption where necessary, and logs changes.
   * @requires the pin tree's lock
   */
  checkAdoption(pinTree: PinTree, listeners: readonly Listener[]): void {
    const step = () => this.#adopted?.check(pinTree, listeners, this.filter);
    this.#journal.attempt(`adoption ${this.label}`, step);
  }

  /**
   * Ends its adoption, except of the ports that `others` adopt in the same cgroup.
   * @requires the pin tree's lock
   */
  unadopt(pinTree: PinTree, others: readonly Service[] = []): void {
    const cgroup = this.options.adopt?.cgroup;
    const shared = others.filter(({ options }) => options.adopt?.cgroup === cgroup);
    this.#adopted?.end(pinTree, new Set(shared.flatMap(({ ports }) => ports)));
  }

  adoptionStatus(pinTree: PinTree) {
    return this.#adopted?.status(pinTree) ?? [];
  }

  /** Forgets its warnings. */
  retire(): void {
    this.#adopted?.settle();
    for (const about of ["netns", "adoption"]) this.#journal.settled(`${about} ${this.label}`);
  }
}
