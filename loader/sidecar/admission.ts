/** Which groups a sidecar takes on, in which order, and what a refusal means. */
import { GroupBudget, type GroupLimits, type Tenant, tenantOf } from "../core/group_budget.ts";
import { BudgetError } from "../errors.ts";
import type { Journal } from "../log.ts";
import { ownNetns } from "../net/netns_inode.ts";
import type { OwnedMatch } from "../service/ownership.ts";
import { boottimeMs } from "../sys/libc.ts";
import { Refusals } from "./refusals.ts";

export class Admission {
  readonly limits: GroupLimits;
  readonly refusals: Refusals;
  readonly #budget: GroupBudget;
  readonly #tenants = new Map<string, Tenant>();

  constructor(limits: GroupLimits, journal: Journal) {
    this.limits = limits;
    this.refusals = new Refusals(journal);
    this.#budget = new GroupBudget(limits, ownNetns());
  }

  /**
   * Returns the groups to take on now, in their order: those that were not refused lately.
   * @param matches every group that a service covers and that is not managed
   */
  select(matches: readonly OwnedMatch[]): OwnedMatch[] {
    this.refusals.keep(new Set(matches.map(({ name }) => name)));
    const nowMs = boottimeMs();
    return this.#budget.inOrder(matches.filter((match) => this.refusals.isDue(match, nowMs)));
  }

  /**
   * Takes a group on. A refusal concerns this group only: it is logged, and tried again later.
   * Returns its error, or null.
   * @param take throws if the group is refused; returns the tenant of the group
   */
  admit(match: OwnedMatch, take: () => Tenant): unknown {
    const { name, members } = match;
    try {
      const [first] = members;
      if (first) this.#requireRoom(tenantOf(first));
      const tenant = take();
      this.#budget.add(tenant);
      this.#tenants.set(name, tenant);
      this.refusals.settle(name);
      return null;
    } catch (error) {
      this.refusals.add(match, error, boottimeMs());
      return error;
    }
  }

  /** A group is no longer managed. */
  release(name: string): void {
    const tenant = this.#tenants.get(name);
    if (tenant && this.#tenants.delete(name)) this.#budget.add(tenant, -1);
  }

  /** @throws BudgetError */
  #requireRoom(tenant: Tenant): void {
    const limit = this.#budget.exceeded(tenant);
    if (limit === null) return;
    const { uid, netns } = tenant;
    const { total, perUser } = this.limits;
    const option = limit === "user" ? `-per-user is ${perUser}` : ` is ${total}`;
    throw new BudgetError(
      `groups of uid ${uid} in network namespace ${netns} are left to the kernel: --max-groups${option}`,
    );
  }
}
