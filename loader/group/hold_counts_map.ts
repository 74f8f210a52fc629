/** The pinned counts of one group's holds. */
import type { BpfMap } from "../bpf/map.ts";
import { decodeHoldCounts, encodeHoldCounts, type HoldCounts } from "./hold_record.ts";

export class HoldCountsMap {
  readonly #map: BpfMap;
  #known: HoldCounts | null = null;

  /** @param map owned by the caller */
  constructor(map: BpfMap) {
    this.#map = map;
  }

  /** Drops the cache: another process may have changed the map. */
  invalidate(): void {
    this.#known = null;
  }

  /**
   * Returns the counts.
   * @param hasStandby another process can close it, which counts what it held
   */
  read(hasStandby: boolean): HoldCounts {
    if (hasStandby || !this.#known) this.#known = decodeHoldCounts(this.#map.lookup(0));
    return this.#known;
  }

  write(counts: HoldCounts): void {
    this.#map.update(0, encodeHoldCounts(counts));
    this.#known = counts;
  }
}
