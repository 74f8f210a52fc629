/** One reading of status, compared with the previous one. Pure. */
import type { Decision } from "../../loader/group/counters.ts";
import type { GroupStatus, Status } from "../../loader/operate/status.ts";
import { decisionsSince, nameOf } from "../output/decisions.ts";

export class Reading {
  readonly status: Status;
  /** ms, of a monotonic clock. */
  readonly #atMs: number;
  readonly #before: Reading | null;

  /** @param before null for the first */
  constructor(status: Status, atMs: number, before: Reading | null) {
    this.status = status;
    this.#atMs = atMs;
    // Not a chain: the previous reading needs none before it.
    this.#before = before && new Reading(before.status, before.#atMs, null);
  }

  /** Whether there is no previous reading. */
  get first(): boolean {
    return this.#before === null;
  }

  /** Returns the group in the previous reading, or null. */
  before(group: GroupStatus): GroupStatus | null {
    return this.#before?.status.groups.find(({ name }) => name === group.name) ?? null;
  }

  /** Groups that are no longer pinned. */
  get gone(): GroupStatus[] {
    const names = new Set(this.status.groups.map(({ name }) => name));
    return this.#before?.status.groups.filter(({ name }) => !names.has(name)) ?? [];
  }

  /** Returns the decisions since the previous reading; none in the first. */
  since(group: GroupStatus): Decision[] {
    return this.first ? [] : decisionsSince(this.before(group), group);
  }

  /** Returns decisions a second since the previous reading; null in the first. */
  rate(group: GroupStatus, decision: Decision): number | null {
    if (this.#before === null) return null;
    const same = this.since(group).find((other) => nameOf(other) === nameOf(decision));
    return ((same?.count ?? 0) * 1000) / (this.#atMs - this.#before.#atMs);
  }
}
