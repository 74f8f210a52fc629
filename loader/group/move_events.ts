/** Reports of migrations from accept queues: the maps `move_report` and `move_events`. */
import { BpfMap } from "../bpf/map.ts";
import { LAYOUT } from "../core/abi.ts";
import { MAP_TYPE } from "../core/map_shapes.ts";

/** One page: at most one event is ever pending. */
const RING = { type: MAP_TYPE.ringbuf, key: 0, value: 0, entries: 4096, flags: 0 };

export class MoveEvents {
  readonly #report: BpfMap;
  readonly #events: BpfMap;
  /** Cached, since only this process adds to it. */
  #wakeups: number | null = null;

  constructor(maps: { readonly move_report: BpfMap; readonly move_events: BpfMap }) {
    this.#report = maps.move_report;
    this.#events = maps.move_events;
  }

  /** Creates a ring buffer of migrations, which replaces the one before. */
  listen(): BpfMap {
    const ring = BpfMap.create("move_ring", RING);
    const value = Buffer.alloc(4);
    value.writeUInt32LE(ring.fd);
    this.#events.update(0, value);
    return ring;
  }

  /** Removes the ring buffer: no process reads it any longer. */
  leave(): void {
    this.#events.delete(0);
  }

  /** Listeners woken since the group was pinned. */
  get wakeups(): number {
    this.#wakeups ??= LAYOUT.rm_move_report.decode(this.#report.lookup(0)).wakeups;
    return this.#wakeups;
  }

  /** Adds to the listeners woken. */
  addWakeups(count: number): void {
    const { pending, wakeups } = LAYOUT.rm_move_report.decode(this.#report.lookup(0));
    this.#wakeups = wakeups + count;
    this.#report.update(0, LAYOUT.rm_move_report.encode({ pending, wakeups: this.#wakeups }));
  }

  /** Returns whether a migration was reported, and has the program report the next one. */
  take(): boolean {
    const { pending, wakeups } = LAYOUT.rm_move_report.decode(this.#report.lookup(0));
    if (pending) this.#report.update(0, LAYOUT.rm_move_report.encode({ pending: false, wakeups }));
    return pending;
  }
}
