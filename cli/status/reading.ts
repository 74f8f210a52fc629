/** One reading of status among others: what came, went and was decided since the one before. Pure. */
import type { Decision } from "../../loader/group/counts.ts";
import type { GroupStatus, Status } from "../../loader/operate/status.ts";
import { decisionsSince, nameOf } from "../output/decisions.ts";

export class Reading {
  readonly status: Status;
  /** ms; of a clock that only goes forward. */
  readonly #atMs: number;
  readonly #before: Reading | null;

  /** @param before null for the first */
  constructor(status: Status, atMs: number, before: Reading | null) {
    this.status = status;
    this.#atMs = atMs;
    // Not a chain: the one before needs none before it.
    this.#before = before && new Reading(before.status, before.#atMs, null);
  }

  /** It is the first: there is nothing to compare with. */
  get first(): boolean {
    return this.#before === null;
  }

  /** The same group in the reading before. */
  before(group: GroupStatus): GroupStatus | null {
    return this.#before?.status.groups.find(({ name }) => name === group.name) ?? null;
  }

  /** Groups that are not pinned any more. */
  get gone(): GroupStatus[] {
    const names = new Set(this.status.groups.map(({ name }) => name));
    return this.#before?.status.groups.filter(({ name }) => !names.has(name)) ?? [];
  }

  /** Decisions since the reading before; none in the first. */
  since(group: GroupStatus): Decision[] {
    return this.first ? [] : decisionsSince(this.before(group), group);
  }

  /** Decisions a second since the reading before. */
  rate(group: GroupStatus, decision: Decision): number | null {
    if (this.#before === null) return null;
    const same = this.since(group).find((other) => nameOf(other) === nameOf(decision));
    return (Number(same?.count ?? 0n) * 1000) / (this.#atMs - this.#before.#atMs);
  }
}
