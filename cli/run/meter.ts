/** Accumulates readings of status while a command runs. Pure. */

import { matchesSpec, type Spec } from "../../loader/core/spec.ts";
import type { KernelMigrations } from "../../loader/net/kernel_migrations.ts";
import type { GroupStatus, Status } from "../../loader/operate/status.ts";
import { decisionsSince, isMigrating, isSame } from "../output/decisions.ts";

/** One life of a group's pins, as far as it was seen. */
export interface Span {
  /** null: the group was pinned later, with its counters at zero. */
  readonly first: GroupStatus | null;
  readonly last: GroupStatus;
  /** The group is no longer pinned; decisions after `last` are not known. */
  readonly gone: boolean;
  /** Whether the SPECs name the group. Others are read because the kernel counts by namespace. */
  readonly measured: boolean;
}

/** The kernel's own counts in one network namespace. */
export interface KernelSpan {
  readonly first: KernelMigrations;
  readonly last: KernelMigrations;
  /**
   * Most of the failures that can be final ACKs at a full accept queue: between two readings no
   * more than queues overflowed.
   */
  readonly atFullQueue: number;
}

export class Meter {
  readonly #specs: readonly Spec[];
  #spans: readonly Span[] | null = null;
  readonly #kernel = new Map<number, KernelSpan>();

  /** @param specs measured groups; every group if empty */
  constructor(specs: readonly Spec[]) {
    this.#specs = specs;
  }

  add(status: Status): void {
    const before = this.#spans;
    const known = (before ?? []).map((span): Span => {
      const last = status.groups.find((group) => isSame(span.last, group));
      return last ? { ...span, last, gone: false } : { ...span, gone: true };
    });
    const added = status.groups
      .filter((group) => !known.some(({ last }) => isSame(last, group)))
      .map((group) => {
        const first = before ? null : group;
        return { first, last: group, gone: false, measured: this.#measures(group) };
      });
    this.#spans = [...known, ...added];
    for (const [netns, now] of status.kernel) {
      const { first, last, atFullQueue } = this.#kernel.get(netns) ?? startAt(now);
      const more = Math.min(now.failure - last.failure, now.overflows - last.overflows);
      this.#kernel.set(netns, { first, last: now, atFullQueue: atFullQueue + more });
    }
  }

  #measures({ key }: GroupStatus): boolean {
    return this.#specs.length === 0 || this.#specs.some((spec) => matchesSpec(spec, key));
  }

  get spans(): readonly Span[] {
    return this.#spans ?? [];
  }

  /** By inode number; without namespaces that could not be read. */
  get kernel(): ReadonlyMap<number, KernelSpan> {
    return this.#kernel;
  }

  /** Rises with every connection that migrates or is lost. */
  get moves(): number {
    const decided = this.spans.filter(({ measured }) => measured).flatMap(migratingOf);
    const failed = [...this.#kernel.values()].map(
      ({ first, last }) => last.failure - first.failure,
    );
    return [...decided.map(({ count }) => count), ...failed].reduce((sum, n) => sum + n, 0);
  }

  /** Measured groups in which connections wait at an old listener or at the standby. */
  get waiting(): GroupStatus[] {
    return this.spans
      .filter(
        ({ measured, gone, last }) => measured && !gone && last.listeners.some(isWaiting(last)),
      )
      .map(({ last }) => last);
  }
}

function startAt(now: KernelMigrations): KernelSpan {
  return { first: now, last: now, atFullQueue: 0 };
}

/** Returns the span's decisions about existing connections. */
export function migratingOf({ first, last }: Span) {
  return decisionsSince(first, last).filter(isMigrating);
}

/** A listener without a generation is new: the kernel's hash gives it its share. */
function isWaiting({ generation }: GroupStatus) {
  return (l: GroupStatus["listeners"][number]): boolean =>
    (l.role === "standby" || (l.generation ?? generation) < generation) &&
    l.queueLength + l.halfOpen > 0;
}
