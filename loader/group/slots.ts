/** The slots of one group as pinned: who has or had each, and what it had counted before. */

import type { BpfMap } from "../bpf/map.ts";
import { LAYOUT } from "../core/abi.ts";
import { decodeSlot, encodeSlot, type SlotRecord } from "./codec.ts";

/** So many are read at first, and most groups never use more; then twice as many, until they are all. */
const FIRST = 16;

export class SlotTable {
  readonly #map: BpfMap;
  #count = FIRST;
  #bytes: Buffer = Buffer.alloc(0);
  #records: readonly SlotRecord[] = [];
  #known = false;

  /** @param map stays the caller's */
  constructor(map: BpfMap) {
    this.#map = map;
  }

  /** Reads them again: others may have changed them. */
  invalidate(): void {
    this.#known = false;
  }

  /** Those ever used; the same array as before where nothing changed. */
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
    this.#bytes = bytes;
    this.#records = records;
    return records;
  }

  set(record: SlotRecord): void {
    this.#map.update(record.slot.slot, encodeSlot(record));
    this.#known = false;
  }

  /** The beginning of the map: slots are taken in order, so after one that never was there is none. */
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
