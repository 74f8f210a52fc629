/** Groups that could not be taken on: why, and when to try again. */
import { BackOff } from "../core/back_off.ts";
import { tenantOf } from "../core/group_budget.ts";
import type { Listener } from "../core/listener.ts";
import {
  AlreadyManagedError,
  BudgetError,
  FilterLockedError,
  ForeignProgramError,
  HungError,
  NotSupportedError,
  PermissionError,
  StandbyError,
} from "../errors.ts";
import { ownerText } from "../host/cgroup_label.ts";
import { type Journal, message } from "../log.ts";
import { groupOwners } from "../observe/group_owners.ts";
import { fullPlaceOf } from "../observe/netns_label.ts";
import type { OwnedMatch } from "../service/ownership.ts";

/** A change of its members is tried soon, but a listener that comes and goes gains nothing. */
const TIMES = { firstMs: 1_000, longestMs: 300_000, changedMs: 1_000 };
/** Most refusals of one user in one network namespace that are logged at a time. */
const LOGGED_EACH = 16;

export const REFUSAL_REASONS = [
  "foreign_program",
  "filter_locked",
  "already_managed",
  "standby",
  "hung",
  "namespace",
  "limit",
  "other",
] as const;
export type RefusalReason = (typeof REFUSAL_REASONS)[number];

interface Refused {
  readonly reason: RefusalReason;
  readonly tenant: string;
  /** The subject of its warning; null: it is not logged. */
  readonly about: string | null;
}

export class Refusals {
  readonly #journal: Journal;
  readonly #backOff = new BackOff(TIMES);
  readonly #refused = new Map<string, Refused>();

  constructor(journal: Journal) {
    this.#journal = journal;
  }

  /** Returns whether a group may be tried: it was not refused, or not lately. */
  isDue({ name, members }: OwnedMatch, nowMs: number): boolean {
    return this.#backOff.isDue(name, members, nowMs);
  }

  /** Every refused group may be tried at once. */
  makeDue(): void {
    this.#backOff.makeDue();
  }

  add(match: OwnedMatch, error: unknown, nowMs: number): void {
    const { name, members } = match;
    const [first] = members;
    this.#backOff.fail(name, members, nowMs);
    const tenant = first ? Object.values(tenantOf(first)).join(" ") : "";
    const before = this.#refused.get(name);
    const about = before ? before.about : this.#subject(name, tenant, error);
    if (about !== null) this.#journal.warn(about, sentence(members, error));
    this.#refused.set(name, { reason: reasonOf(error), tenant, about });
  }

  /** Returns the subject of a new warning; null if this user has many already. */
  #subject(name: string, tenant: string, error: unknown): string | null {
    // One line about a user's limit, instead of one for each of the groups beyond it.
    if (error instanceof BudgetError) return `limit ${tenant}`;
    const logged = this.#loggedOf(tenant);
    if (logged < LOGGED_EACH) return name;
    const [uid, netns] = tenant.split(" ");
    const text = `more groups of uid ${uid} in network namespace ${netns} are refused: /metrics counts them`;
    this.#journal.warn(`more ${tenant}`, text);
    return null;
  }

  /** The group was taken on, or is gone. */
  settle(name: string): void {
    const refused = this.#refused.get(name);
    if (!refused) return;
    this.#backOff.settle(name);
    this.#refused.delete(name);
    const isLast = ![...this.#refused.values()].some(({ about }) => about === refused.about);
    if (refused.about !== null && isLast) this.#journal.settled(refused.about);
  }

  /** Forgets every group that is not one of these. */
  keep(groups: { has(name: string): boolean }): void {
    for (const name of this.#refused.keys()) if (!groups.has(name)) this.settle(name);
  }

  /** Returns the number of refused groups by reason. */
  counts(): ReadonlyMap<RefusalReason, number> {
    const counts = new Map<RefusalReason, number>(REFUSAL_REASONS.map((reason) => [reason, 0]));
    for (const { reason } of this.#refused.values()) {
      counts.set(reason, (counts.get(reason) ?? 0) + 1);
    }
    return counts;
  }

  #loggedOf(tenant: string): number {
    let count = 0;
    for (const refused of this.#refused.values()) {
      if (refused.tenant === tenant && refused.about !== null) count++;
    }
    return count;
  }
}

function sentence(members: readonly Listener[], error: unknown): string {
  const [listener] = members;
  if (!listener || error instanceof BudgetError) return message(error);
  const { key, uid, owners } = listener;
  const [owner] = owners;
  const who = [
    ...(owner ? [owner.comm, `pid ${owner.pid}`] : []),
    `uid ${uid}`,
    ...groupOwners(members).slice(0, 1).map(ownerText),
  ];
  return `${fullPlaceOf(key, owners)} (${who.join(", ")}) is not attached: ${message(error)}`;
}

function reasonOf(error: unknown): RefusalReason {
  if (error instanceof ForeignProgramError) return "foreign_program";
  if (error instanceof FilterLockedError) return "filter_locked";
  if (error instanceof AlreadyManagedError) return "already_managed";
  if (error instanceof StandbyError) return "standby";
  if (error instanceof HungError) return "hung";
  if (error instanceof PermissionError || error instanceof NotSupportedError) return "namespace";
  return error instanceof BudgetError ? "limit" : "other";
}
