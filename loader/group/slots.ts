/** The pinned slots of one group: the listener of each, and its counts at the time it came. */

import type { BpfMap } from "../bpf/map.ts";
import { LAYOUT, MAX_CLASSES } from "../core/abi.ts";
import { MAX_GENERATION } from "../core/generations.ts";
import type { Slot } from "../core/slot.ts";
import type { SlotCounts } from "./counters.ts";

/** A slot, and its counts when its listener took it. */
export interface SlotRecord {
  readonly slot: Slot;
  readonly base: SlotCounts;
}

/** Slots read at first; most groups never use more. Doubled until all used ones are read. */
const FIRST = 16;

export class SlotTable {
  readonly #map: BpfMap;
  #count = FIRST;
  /** What was decoded, in memory of its own: a few bytes of a pool keep all of it. */
  #bytes: Buffer = Buffer.alloc(0);
  #records: readonly SlotRecord[] = [];
  #known = false;

  /** @param map owned by the caller */
  constructor(map: BpfMap) {
    this.#map = map;
  }

  /** Drops the cache: another process may have changed the map. */
  invalidate(): void {
    this.#known = false;
  }

  /** Returns every slot ever used; the same array as before if nothing changed. */
  all(): readonly SlotRecord[] {
    if (this.#known) return this.#records;
    const bytes = this.#read();
    this.#known = true;
    if (this.#bytes.equals(bytes)) return this.#records;
    const records: SlotRecord[] = [];
    for (let number = 0; number * LAYOUT.rm_slot.size < bytes.length; number++) {
      const record = decodeSlot(bytes, number);
      if (record) records.push(record);
    }
    if (this.#bytes.length !== bytes.length) this.#bytes = Buffer.allocUnsafeSlow(bytes.length);
    bytes.copy(this.#bytes);
    this.#records = records;
    return records;
  }

  set(record: SlotRecord): void {
    this.#map.update(record.slot.slot, encodeSlot(record));
    this.#known = false;
  }

  /** Reads the map up to a slot that was never used: slots are taken in order. */
  #read(): Buffer {
    const { entries } = this.#map.shape;
    for (;;) {
      const count = Math.min(this.#count, entries);
      const bytes = this.#map.read(0, count);
      if (count === entries || decodeSlot(bytes, count - 1) === null) return bytes;
      this.#count *= 2;
    }
  }
}

export function encodeSlot({ slot, base }: SlotRecord): Buffer {
  return LAYOUT.rm_slot.encode({
    cookie: slot.cookie,
    opened_ms: slot.openedMs,
    closed_ms: slot.closedMs ?? 0,
    options_digest: slot.optionsDigest,
    generation: slot.generation,
    class: slot.class,
    drained: slot.drained,
    incoming_cpu: slot.incomingCpu + 1,
    base_syn: base.syn,
    base_out: base.out,
    base_into: base.into,
  });
}

/**
 * Returns the record of slot `number` in the bytes of the whole map, or null if it was never used,
 * or if this program cannot have written it.
 */
export function decodeSlot(values: Buffer, number: number): SlotRecord | null {
  const value = LAYOUT.rm_slot.decode(values, number * LAYOUT.rm_slot.size);
  const { cookie, opened_ms: openedMs, closed_ms, generation, drained } = value;
  if (cookie === 0n || value.class >= MAX_CLASSES || generation > MAX_GENERATION) return null;
  return {
    slot: {
      slot: number,
      cookie,
      openedMs,
      closedMs: closed_ms === 0 ? null : closed_ms,
      optionsDigest: value.options_digest,
      generation,
      class: value.class,
      incomingCpu: value.incoming_cpu - 1,
      drained,
    },
    base: { syn: value.base_syn, out: value.base_out, into: value.base_into },
  };
}
