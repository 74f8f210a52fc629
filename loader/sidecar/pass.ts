/** What one poll found to do: worked off in slices, under the pin tree's lock. */
import type { PinTree } from "../bpf/pin_tree.ts";
import { endOrphans } from "../keeper/orphans.ts";
import type { Snapshot } from "../observe/snapshot.ts";
import type { OwnedMatch, PassConditions } from "../service/ownership.ts";
import type { Service } from "../service/service.ts";
import type { ManagedGroups } from "./managed_groups.ts";

/** The groups as a pass sees them; a class of its own in tests. */
export type ReconciledGroups = Pick<
  ManagedGroups,
  | "size"
  | "has"
  | "isDetached"
  | "select"
  | "holdDueMs"
  | "due"
  | "refresh"
  | "takeOn"
  | "emptyNetns"
  | "failOpen"
  | "invalidate"
  | "dropDetached"
>;

/** What a poll found. */
export interface Found {
  readonly snapshot: Snapshot;
  readonly conditions: PassConditions;
  /** Services whose adoption is checked. */
  readonly adopting: readonly Service[];
  /** Groups to take on. */
  readonly matches: readonly OwnedMatch[];
}

export class Pass {
  readonly #groups: ReconciledGroups;
  readonly #found: Found;
  /** Names of managed groups to refresh. */
  #due: string[];
  #adopting: readonly Service[];
  #matches: OwnedMatch[];

  constructor(groups: ReconciledGroups, found: Found) {
    this.#groups = groups;
    this.#found = found;
    this.#due = groups.due(found.snapshot.groups, found.conditions);
    this.#adopting = found.adopting;
    this.#matches = [...found.matches];
  }

  /** What is left requires a snapshot of the whole host. */
  get needsHost(): boolean {
    return this.#matches.length + this.#adopting.length > 0;
  }

  get isDone(): boolean {
    return this.#due.length + this.#adopting.length + this.#matches.length === 0;
  }

  /**
   * Drops groups that another command detached, and refreshes every other one.
   * @returns whether no group is left because of that
   * @requires the pin tree's lock
   */
  readForeignChanges(): boolean {
    const groups = this.#groups;
    const isDropped = groups.dropDetached();
    groups.invalidate();
    this.#due = groups.due(this.#found.snapshot.groups, this.#found.conditions);
    this.#matches = this.#matches.filter((match) => !groups.isDetached(match));
    return isDropped && groups.size === 0;
  }

  /**
   * Works until `isOver` says so, and on one group at least.
   * @requires the pin tree's lock
   */
  work(pinTree: PinTree, isOver: () => boolean): void {
    const { snapshot, conditions } = this.#found;
    for (let name = this.#due.shift(); name !== undefined; name = this.#due.shift()) {
      this.#groups.refresh(name, snapshot.groups.get(name) ?? [], conditions);
      if (isOver()) break;
    }
    for (const service of this.#adopting) service.checkAdoption(pinTree, snapshot.listeners);
    this.#adopting = [];
    while (!isOver()) {
      const match = this.#matches.shift();
      if (!match) break;
      this.#groups.takeOn(match);
    }
    if (this.isDone) endOrphans();
  }
}
