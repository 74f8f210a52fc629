/** A group's telling of migrations from accept queues: `moved`, and `moves` with the ring buffer of who listens. */
import { BpfMap } from "../bpf/map.ts";
import { MAP_TYPE } from "../core/map_shapes.ts";
import { decodeMoved, encodeMoved } from "./plan_codec.ts";

/** A page of bytes: one event at a time is told. */
const RING = { type: MAP_TYPE.ringbuf, key: 0, value: 0, entries: 4096, flags: 0 };

export class Moves {
  readonly #moved: BpfMap;
  readonly #moves: BpfMap;
  /** Only who wakes adds to them, and has them in here then. */
  #wakeups: number | null = null;

  constructor(maps: { readonly moved: BpfMap; readonly moves: BpfMap }) {
    this.#moved = maps.moved;
    this.#moves = maps.moves;
  }

  /** Makes a ring buffer that says when connections were migrated; the group keeps it until the next one. */
  listen(): BpfMap {
    const ring = BpfMap.create("moves_ring", RING);
    const value = Buffer.alloc(4);
    value.writeUInt32LE(ring.fd);
    this.#moves.update(0, value);
    return ring;
  }

  /** Nobody listens any more: the ring buffer goes with its holder. */
  leave(): void {
    this.#moves.delete(0);
  }

  /** Listeners that were woken, since the group was pinned. */
  get wakeups(): number {
    this.#wakeups ??= decodeMoved(this.#moved.lookup(0)).wakeups;
    return this.#wakeups;
  }

  /** Counts listeners that were woken. */
  addWakeups(count: number): void {
    const { told, wakeups } = decodeMoved(this.#moved.lookup(0));
    this.#wakeups = wakeups + count;
    this.#moved.update(0, encodeMoved({ told, wakeups: this.#wakeups }));
  }

  /** True when migrations were told of; those that come from now on are told of again. */
  take(): boolean {
    const { told, wakeups } = decodeMoved(this.#moved.lookup(0));
    if (told) this.#moved.update(0, encodeMoved({ told: false, wakeups }));
    return told;
  }
}
