/** The socket options in which settings classes of a group differ. */

import type { Listener } from "../core/listener.ts";
import type { Slot } from "../core/slot.ts";
import { PermissionError } from "../errors.ts";
import { socketOptionsOf } from "../net/foreign_listener.ts";
import type { SocketOptions } from "../net/socket_options.ts";

/** Two settings classes of a group, the lower number first. */
export interface OptionDifference {
  readonly classes: readonly [number, number];
  /** Options of setsockopt(2), by name. */
  readonly names: readonly string[];
}

/**
 * Returns each pair of classes that listen now, except those that were reported before.
 * @param reported pairs (`1 2`); the returned ones are added
 */
export function differingClasses(
  slots: readonly Slot[],
  listeners: readonly Listener[],
  reported: Set<string> = new Set(),
): OptionDifference[] {
  const [one] = slots;
  if (slots.every((slot) => slot.class === one?.class)) return [];
  const samples = new Map<number, Listener>();
  const byCookie = new Map(listeners.map((listener) => [listener.cookie, listener]));
  for (const slot of slots) {
    const listener = byCookie.get(slot.cookie);
    if (listener && slot.class !== 0 && !samples.has(slot.class)) samples.set(slot.class, listener);
  }
  const classes = [...samples.keys()].sort((a, b) => a - b);
  const pairs = classes.flatMap((a, i) => classes.slice(i + 1).map((b) => [a, b] as const));
  const found: OptionDifference[] = [];
  for (const pair of pairs) {
    if (reported.has(pair.join(" "))) continue;
    const names = differing(samples.get(pair[0]), samples.get(pair[1]));
    if (names === null) continue; // it closed after the snapshot, or may not be read
    reported.add(pair.join(" "));
    found.push({ classes: pair, names });
  }
  return found;
}

/** Returns undefined if no owner lends it, or none may be traced: `status` needs no right to. */
function optionsOf(listener: Listener): SocketOptions | undefined {
  try {
    return socketOptionsOf(listener);
  } catch (error) {
    if (error instanceof PermissionError) return undefined;
    throw error;
  }
}

function differing(a: Listener | undefined, b: Listener | undefined): string[] | null {
  const [x, y] = [a && optionsOf(a), b && optionsOf(b)];
  if (!x || !y) return null;
  return Object.keys({ ...x, ...y }).filter((name) => x[name] !== y[name]);
}
