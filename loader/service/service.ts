/** A service: SPECs, filters and a policy; which groups it covers. */

import { AdoptedCgroup, type AdoptOptions } from "../adoption/service_adoption.ts";
import type { PinTree } from "../bpf/pin_tree.ts";
import type { Wake } from "../core/abi.ts";
import type { GroupKey, Listener } from "../core/listener.ts";
import type { Policy } from "../core/slot.ts";
import { portsOf, type Spec } from "../core/spec.ts";
import type { ReadyCheck } from "../hold/ready_check.ts";
import type { Journal } from "../log.ts";
import type { ManageOptions } from "../manage/manage_options.ts";
import { ALL, ownNetns } from "../net/netns_inode.ts";
import { NetnsName } from "../net/netns_name.ts";
import { EVERY_NETNS, type WatchedPort } from "../observe/bind_events.ts";
import { covers, type Filter, specOf } from "../observe/coverage.ts";

export interface ServiceOptions extends Policy {
  /** Less than SERVICE_LEN bytes; default: the SPEC that names the group. */
  readonly name?: string;
  readonly specs: readonly Spec[];
  readonly filter?: Filter;
  /**
   * A network namespace by path or pid, which may be created later; or `all`. Default: that of the
   * filter, or else our own.
   */
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
   * Without a hold, too, new listeners are targets only when they have passed the check: until then
   * older ones get all connections.
   */
  readonly readyFirst?: boolean;
  /**
   * Wake the destinations of migrations: `auto` (while the sidecar watches, if a probe shows that
   * the kernel does not), `always`, or `never` (the default).
   */
  readonly wake?: Wake;
}

const NONE: ReadonlySet<number> = new Set();

export class Service {
  readonly options: ServiceOptions;
  /** How its groups are managed; a different object is a different policy. */
  readonly manage: ManageOptions;
  readonly #journal: Journal;
  readonly #adopted: AdoptedCgroup | null;
  readonly #netns: NetnsName | null;
  /** null: its network namespace does not exist now. */
  #filter: Filter | null;
  /** Start of the process that the filter names; null: it was not seen yet. */
  #pidStartMs: number | null = null;

  /** @param arrived called when a connection arrives at a standby */
  constructor(options: ServiceOptions, journal: Journal, arrived: () => void) {
    const { adopt, specs, filter = {}, netns, replace = false } = options;
    this.options = options;
    this.manage = { ...options, replace, arrived };
    this.#journal = journal;
    this.#adopted = adopt ? new AdoptedCgroup(adopt, specs, journal) : null;
    this.#netns = netns === undefined || netns === ALL ? null : new NetnsName(netns);
    const own = netns === ALL ? {} : { netns: ownNetns() };
    this.#filter = this.#netns ? null : { ...own, ...filter };
  }

  /** Its name in the log and in reloads. */
  get label(): string {
    return this.names.join(" ");
  }

  /** Its name in status and metrics, or those of its SPECs. */
  get names(): readonly string[] {
    const { name, specs } = this.options;
    return name === undefined ? specs.map(({ text }) => text) : [name];
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

  /** The binds that may be of one of its listeners. */
  get watched(): WatchedPort[] {
    if (this.#netns?.hasEnded) return [];
    // A namespace that does not exist yet may appear, and a server in it listen, at any time.
    const netns = this.#located ?? EVERY_NETNS;
    const ports = this.coversEveryPort ? [null] : this.ports;
    return ports.map((port) => ({ port, netns }));
  }

  /** The ports that its SPECs name. */
  get ports(): number[] {
    return portsOf(this.options.specs);
  }

  get coversEveryPort(): boolean {
    return this.options.specs.some(({ port }) => port === null);
  }

  /** The filter now; nothing passes while the network namespace does not exist. */
  get filter(): Filter {
    const now = this.#filter ?? { netns: 0 };
    return this.#pidStartMs === null ? now : { ...now, pidStartMs: this.#pidStartMs };
  }

  /**
   * Finds its network namespace; a failure is logged once. Returns whether it is another one.
   * @param ended namespaces that no longer exist, whose numbers may be reused
   */
  locate(ended: ReadonlySet<number> = NONE): boolean {
    const netns = this.#netns;
    if (netns === null) return false;
    const before = this.#located;
    this.#filter = null;
    netns.forget(ended);
    this.#journal.attempt(`netns ${this.label}`, () => {
      const inode = netns.locate();
      if (inode === null) throw new Error(`${this.label} waits: ${netns.failure}`);
      this.#filter = { ...this.options.filter, netns: inode };
    });
    return this.#located !== before;
  }

  get #located(): number | undefined {
    return this.#filter?.netns;
  }

  /** Returns its name for a group with these listeners; null if it does not cover the group. */
  nameFor(members: readonly Listener[]): string | null {
    const spec = covers(members, this.options.specs, this.filter);
    if (spec) this.#rememberProcess(members);
    return spec ? (this.options.name ?? spec.text) : null;
  }

  #rememberProcess(members: readonly Listener[]): void {
    const { pid } = this.filter;
    const owners = pid === undefined ? [] : members.flatMap((member) => member.owners);
    this.#pidStartMs ??= owners.find((owner) => owner.pid === pid)?.startMs ?? null;
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
