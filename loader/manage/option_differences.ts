/** In what listeners of different settings classes differ. */

import type { Listener } from "../core/listener.ts";
import type { Slot } from "../core/slot.ts";
import { borrow } from "../net/borrow.ts";
import { readSocketOptions, type SocketOptions } from "../net/socket_options.ts";

/** Two settings classes of a group, the lower number first. */
export interface OptionDifference {
  readonly classes: readonly [number, number];
  /** Options of setsockopt(2), by name. */
  readonly names: readonly string[];
}

/** Every pair of classes that listen now, but for those in `known` (`1 2`), which grows by them. */
export function differingClasses(
  slots: readonly Slot[],
  listeners: readonly Listener[],
  known: Set<string> = new Set(),
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
    if (known.has(pair.join(" "))) continue;
    const names = differing(samples.get(pair[0]), samples.get(pair[1]));
    if (names === null) continue; // gone since it was observed
    known.add(pair.join(" "));
    found.push({ classes: pair, names });
  }
  return found;
}

function differing(a: Listener | undefined, b: Listener | undefined): string[] | null {
  const [one, other] = [a && settingsOf(a), b && settingsOf(b)];
  if (!one || !other) return null;
  return Object.keys({ ...one, ...other }).filter((name) => one[name] !== other[name]);
}

function settingsOf(listener: Listener): SocketOptions | undefined {
  return borrow(listener, (fd) => readSocketOptions(fd, listener.key.family));
}
