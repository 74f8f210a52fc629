/** Copies the state of a group to the larger instance that is going to replace its own. */
import type { Cells, GroupInstance } from "./group_instance.ts";

/**
 * Copies slots, sources, standby, holds and counts. Listeners and plan are not copied: they are
 * applied.
 * @returns copies what has been counted since the last time
 */
export function carryOver(from: GroupInstance, to: GroupInstance): () => void {
  to.maps.slots.write(0, from.maps.slots.read());
  for (const map of ["standby", "hold_counts", "move_report"] as const) {
    const value = from.maps[map].lookup(0);
    if (value) to.maps[map].update(0, value);
  }
  // Also those of listeners that have closed: handshakes under way name them.
  for (const source of from.sources.all()) {
    const slot = source.slot === from.capacity ? to.capacity : source.slot;
    to.sources.set({ ...source, slot });
  }
  let before: Cells | null = null;
  const carryCounts = () => {
    const now = from.cells();
    to.addCells(before === null ? now : increase(now, before));
    before = now;
    from.moveEvents.passOn(to.moveEvents);
  };
  carryCounts();
  return carryCounts;
}

function increase(now: Cells, before: Cells): Cells {
  return {
    syn: now.syn.map((count, i) => count - (before.syn[i] ?? 0)),
    migrations: now.migrations.map((count, i) => count - (before.migrations[i] ?? 0)),
  };
}
