/** Reports of migrations from accept queues: the maps `move_report` and `move_events`. */
import { BpfMap } from "../bpf/map.ts";
import { LAYOUT } from "../core/abi.ts";
import { MAP_TYPE } from "../core/map_shapes.ts";
import { Owned } from "../owned.ts";

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
    using own = new Owned();
    const ring = own.use(BpfMap.create("move_ring", RING));
    this.use(ring);
    return own.release(ring);
  }

  /** Reports through a ring buffer that exists. */
  use(ring: BpfMap): void {
    const value = Buffer.alloc(4);
    value.writeUInt32LE(ring.fd);
    this.#events.update(0, value);
  }

  /**
   * Ends the reports, and waits until every run of the program that is under way has ended. The
   * kernel waits for that when an inner map is replaced (maybe_wait_bpf_programs() of
   * kernel/bpf/syscall.c): 8 to 18 ms.
   */
  settle(): void {
    this.listen()[Symbol.dispose]();
  }

  /** Passes a report that the loader has not taken on to the instance that replaces this one. */
  passOn(next: MoveEvents): void {
    const { pending, wakeups } = LAYOUT.rm_move_report.decode(this.#report.lookup(0));
    // Not written otherwise: the program of the next one may report at the same time.
    if (pending) next.#report.update(0, LAYOUT.rm_move_report.encode({ pending, wakeups }));
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
