/** What is measured while a command runs: readings of status, one after another. Pure. */

import { matchesSpec, type Spec } from "../../loader/core/spec.ts";
import type { GroupStatus, Status } from "../../loader/operate/status.ts";
import { decisionsSince, isMigrating, isSame } from "../output/decisions.ts";

/** One life of a group's pins, as far as it was seen. */
export interface Span {
  /** null: it was pinned since, with its counters at zero. */
  readonly first: GroupStatus | null;
  readonly last: GroupStatus;
  /** It is not pinned any more; what was decided after `last` is not known. */
  readonly gone: boolean;
  /** The SPECs name it. Others are followed for the sake of what the kernel counts by namespace. */
  readonly asked: boolean;
}

/** The kernel's TCPMigrateReqFailure in one network namespace. */
export interface Failures {
  readonly first: bigint;
  readonly last: bigint;
}

export class Meter {
  readonly #specs: readonly Spec[];
  #spans: readonly Span[] | null = null;
  readonly #failures = new Map<number, Failures>();

  /** @param specs without any, every group is asked for */
  constructor(specs: readonly Spec[]) {
    this.#specs = specs;
  }

  add(status: Status): void {
    const before = this.#spans;
    const went = (before ?? []).map((span): Span => {
      const last = status.groups.find((group) => isSame(span.last, group));
      return last ? { ...span, last, gone: false } : { ...span, gone: true };
    });
    const came = status.groups
      .filter((group) => !went.some(({ last }) => isSame(last, group)))
      .map((group) => {
        const first = before ? null : group;
        return { first, last: group, gone: false, asked: this.#asks(group) };
      });
    this.#spans = [...went, ...came];
    for (const [netns, { failure }] of status.kernel) {
      const first = this.#failures.get(netns)?.first ?? failure;
      this.#failures.set(netns, { first, last: failure });
    }
  }

  #asks({ key }: GroupStatus): boolean {
    return this.#specs.length === 0 || this.#specs.some((spec) => matchesSpec(spec, key));
  }

  get spans(): readonly Span[] {
    return this.#spans ?? [];
  }

  /** By inode number; a namespace that could not be read is not in it. */
  get failures(): ReadonlyMap<number, Failures> {
    return this.#failures;
  }

  /** Rises with every connection that is moved or lost. */
  get moves(): bigint {
    const decided = this.spans.filter(({ asked }) => asked).flatMap(migratingOf);
    const failed = [...this.#failures.values()].map(({ first, last }) => last - first);
    return [...decided.map(({ count }) => count), ...failed].reduce((sum, n) => sum + n, 0n);
  }

  /** The groups asked for in which connections still wait for what has closed, closes, or stands by. */
  get waiting(): GroupStatus[] {
    return this.spans
      .filter(({ asked, gone, last }) => asked && !gone && last.listeners.some(waits(last)))
      .map(({ last }) => last);
  }
}

/** The span's decisions about connections that existed already. */
export function migratingOf({ first, last }: Span) {
  return decisionsSince(first, last).filter(isMigrating);
}

/** A listener without a generation is new: the kernel's hash gives it its share. */
function waits({ generation }: GroupStatus) {
  return (l: GroupStatus["listeners"][number]): boolean =>
    (l.role === "standby" || (l.generation ?? generation) < generation) &&
    l.queueLength + l.halfOpen > 0;
}
