/** A service: what the user names, with its policy; which groups it covers, and where it is looked for now. */

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
  /** A network namespace by path or pid, in place of the filter's; it may appear later. */
  readonly netns?: string | number;
  /** Start although nothing listens yet. */
  readonly wait?: boolean;
  /** Override a foreign program. */
  readonly replace?: boolean;
  /** Make the binds of a cgroup set SO_REUSEPORT; also starts although nothing listens yet. */
  readonly adopt?: AdoptOptions;
  /** A hold ends only when a new listener passes this. */
  readonly readyCheck?: ReadyCheck;
  /**
   * Wake what connections migrate to: `auto` (while the sidecar watches, and where the kernel does
   * not, which is tried out), `always`, or `never` (unless given).
   */
  readonly wake?: Wake;
}

export class Service {
  readonly options: ServiceOptions;
  /** How its groups are managed; another object is another policy. */
  readonly manage: ManageOptions;
  readonly #journal: Journal;
  readonly #adopted: AdoptedCgroup | null;
  readonly #netns: NetnsName | null;
  /** null: its network namespace does not exist. */
  #filter: Filter | null;

  /** @param arrived called when a connection waits at a standby */
  constructor(options: ServiceOptions, journal: Journal, arrived: () => void) {
    const { adopt, specs, filter = {}, netns, replace = false } = options;
    this.options = options;
    this.manage = { ...options, replace, arrived };
    this.#journal = journal;
    this.#adopted = adopt ? new AdoptedCgroup(adopt, specs, journal) : null;
    this.#netns = netns === undefined ? null : new NetnsName(netns);
    this.#filter = this.#netns ? null : filter;
  }

  /** For the log, and to tell it from others. */
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

  /** Something of it is other than it was, or may be, and no bind tells of it: its network namespace, its cgroup's parent. */
  get isUnsettled(): boolean {
    if (this.#adopted !== null) return true;
    try {
      return this.#netns?.hasChanged === true;
    } catch {
      return true; // the pass says why
    }
  }

  get ports(): number[] {
    return this.options.specs.map(({ port }) => port);
  }

  /** Filter as it is now: of a namespace that does not exist nothing passes. */
  get filter(): Filter {
    return this.#filter ?? { netns: 0 };
  }

  /** Looks where its network namespace is; that there is none, or that we may not look, is said once. */
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

  /** Those namespaces are gone. */
  forget(netns: ReadonlySet<number>): void {
    this.#netns?.forget(netns);
  }

  /** Its name in a group with these listeners; null: it does not cover it. */
  nameFor(members: readonly Listener[]): string | null {
    const spec = covers(members, this.options.specs, this.filter);
    return spec ? (this.options.name ?? spec.text) : null;
  }

  /** The same for a group in which nobody listens whom other filters could ask about. */
  nameAt(key: GroupKey): string | null {
    const spec = specOf(this.options.specs, key);
    const { netns } = this.filter;
    if (!spec || (netns !== undefined && netns !== key.netns)) return null;
    return this.options.name ?? spec.text;
  }

  /** Adopts, when it is to. Wants the state's lock, as do the others. */
  adopt(pinTree: PinTree, listeners: readonly Listener[]): void {
    this.#adopted?.start(pinTree, listeners, this.filter);
  }

  /** Mends and reports its adoption. */
  lookAfterAdoption(pinTree: PinTree, listeners: readonly Listener[]): void {
    const step = () => this.#adopted?.look(pinTree, listeners, this.filter);
    this.#journal.attempt(`adoption ${this.label}`, step);
  }

  /** Undoes its adoption, but for what `others` want adopted too. */
  unadopt(pinTree: PinTree, others: readonly Service[] = []): void {
    const cgroup = this.options.adopt?.cgroup;
    const shared = others.filter(({ options }) => options.adopt?.cgroup === cgroup);
    this.#adopted?.giveBack(pinTree, new Set(shared.flatMap(({ ports }) => ports)));
  }

  adoptionStatus(pinTree: PinTree) {
    return this.#adopted?.status(pinTree) ?? [];
  }

  /** Nothing is said of it any more. */
  retire(): void {
    this.#adopted?.retire();
    for (const about of ["netns", "adoption"]) this.#journal.settled(`${about} ${this.label}`);
  }
}
