/**
 * How many groups a sidecar manages, and in which order it takes them on. One user cannot use up
 * what others need: each tenant has a limit, and tenants take turns. Pure.
 */
import type { Listener } from "./listener.ts";

export interface GroupLimits {
  /** Groups in all. */
  readonly total: number;
  /** Groups of one user in one network namespace; root in our own has no limit but the total. */
  readonly perUser: number;
}

/** Part of the total that is kept for root in our own network namespace. */
const ROOTS_SHARE = 1 / 4;

/** A user in a network namespace. */
export type Tenant = Pick<Listener, "uid"> & { readonly netns: number };

export function tenantOf({ uid, key: { netns } }: Listener): Tenant {
  return { uid, netns };
}

/** Counts groups by tenant. */
export class GroupBudget {
  readonly #limits: GroupLimits;
  readonly #ownNetns: number;
  readonly #counts = new Map<string, number>();
  #total = 0;
  #others = 0;

  constructor(limits: GroupLimits, ownNetns: number) {
    this.#limits = limits;
    this.#ownNetns = ownNetns;
  }

  /** Returns the limit that one more group of this tenant would exceed; null if it has room. */
  exceeded(tenant: Tenant): "total" | "user" | null {
    const { total, perUser } = this.#limits;
    if (this.#total >= total) return "total";
    if (this.isFirst(tenant)) return null;
    if ((this.#counts.get(nameOf(tenant)) ?? 0) >= perUser) return "user";
    return this.#others >= Math.ceil(total * (1 - ROOTS_SHARE)) ? "total" : null;
  }

  /** Counts a group, or with `by` -1 one less. */
  add(tenant: Tenant, by: 1 | -1 = 1): void {
    const name = nameOf(tenant);
    const count = (this.#counts.get(name) ?? 0) + by;
    if (count > 0) this.#counts.set(name, count);
    else this.#counts.delete(name);
    this.#total += by;
    if (!this.isFirst(tenant)) this.#others += by;
  }

  /** Root in our own network namespace. */
  isFirst({ uid, netns }: Tenant): boolean {
    return uid === 0 && netns === this.#ownNetns;
  }

  /** Returns groups in the order in which they are taken on: root's own first, then by turns. */
  inOrder<T extends { readonly members: readonly Listener[] }>(groups: readonly T[]): T[] {
    const turns = new Map<string, number>();
    const placed = groups.map((group) => {
      const [first] = group.members;
      const tenant = first && tenantOf(first);
      if (!tenant || this.isFirst(tenant)) return { group, turn: -1 };
      const turn = turns.get(nameOf(tenant)) ?? 0;
      turns.set(nameOf(tenant), turn + 1);
      return { group, turn };
    });
    return placed.toSorted((a, b) => a.turn - b.turn).map(({ group }) => group);
  }
}

const nameOf = ({ uid, netns }: Tenant) => `${uid} ${netns}`;
