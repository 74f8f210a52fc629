/** A group's telling of migrations from accept queues: `move_report`, and `move_events` with the ring buffer of who listens. */
import { BpfMap } from "../bpf/map.ts";
import { MAP_TYPE } from "../core/map_shapes.ts";
import { decodeMoveReport, encodeMoveReport } from "./plan_codec.ts";

/** A page of bytes: one event at a time is pending. */
const RING = { type: MAP_TYPE.ringbuf, key: 0, value: 0, entries: 4096, flags: 0 };

export class MoveEvents {
  readonly #report: BpfMap;
  readonly #events: BpfMap;
  /** Only who wakes adds to them, and has them in here then. */
  #wakeups: number | null = null;

  constructor(maps: { readonly move_report: BpfMap; readonly move_events: BpfMap }) {
    this.#report = maps.move_report;
    this.#events = maps.move_events;
  }

  /** Makes a ring buffer that says when connections were migrated; the group keeps it until the next one. */
  listen(): BpfMap {
    const ring = BpfMap.create("move_ring", RING);
    const value = Buffer.alloc(4);
    value.writeUInt32LE(ring.fd);
    this.#events.update(0, value);
    return ring;
  }

  /** Nobody listens any more: the ring buffer goes with its holder. */
  leave(): void {
    this.#events.delete(0);
  }

  /** Listeners that were woken, since the group was pinned. */
  get wakeups(): number {
    this.#wakeups ??= decodeMoveReport(this.#report.lookup(0)).wakeups;
    return this.#wakeups;
  }

  /** Counts listeners that were woken. */
  addWakeups(count: number): void {
    const { pending, wakeups } = decodeMoveReport(this.#report.lookup(0));
    this.#wakeups = wakeups + count;
    this.#report.update(0, encodeMoveReport({ pending, wakeups: this.#wakeups }));
  }

  /** True when migrations were pending of; those that come from now on are pending of again. */
  take(): boolean {
    const { pending, wakeups } = decodeMoveReport(this.#report.lookup(0));
    if (pending) this.#report.update(0, encodeMoveReport({ pending: false, wakeups }));
    return pending;
  }
}
