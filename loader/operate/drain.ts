/** Drains listeners: they get no new connections, so that closing them has nothing to migrate. */

import { MAX_SLOTS } from "../core/abi.ts";
import { endpoint, NO_QUEUES } from "../core/listener.ts";
import type { Spec } from "../core/spec.ts";
import { ConflictError, NoMatchError } from "../errors.ts";
import type { SlotRecord } from "../group/slots.ts";
import { countUnplaced } from "../hold/members.ts";
import { shutDown } from "../net/foreign_listener.ts";
import type { Observer } from "../observe/observer.ts";
import { applyChanged, type Changeable, withGroups } from "./pinned_groups.ts";

/** Selects listeners of the groups that the SPECs name. */
export type Selector =
  | { readonly pid: number }
  | { readonly cookie: bigint }
  | { readonly generation: number };

/** A drained listener and its queues. */
export interface Drained {
  readonly group: string;
  readonly endpoint: string;
  readonly cookie: bigint;
  readonly slot: number;
  readonly generation: number;
  /** Every process that holds it: a server that hands its sockets over shares them. */
  readonly pids: readonly number[];
  /** Connections in its accept queue, and requests in handshake. */
  readonly queued: number;
  readonly halfOpen: number;
}

interface Options {
  readonly bpffs?: string;
  /**
   * Drain even the last target: new connections then wait at a standby, or are refused without one.
   */
  readonly force?: boolean;
}

/**
 * Drains listeners. When it returns, new connections go to the other targets.
 * @throws NoMatchError if no listener matches, ConflictError if no target would be left; nothing is
 *   changed then
 */
export function drain(
  specs: readonly Spec[],
  selector: Selector,
  options: Options = {},
): Promise<Drained[]> {
  return withGroups(specs, options, (groups) => {
    const chosen = groups.map((group) => ({ group, slots: select(group, selector) }));
    if (chosen.every(({ slots }) => slots.length === 0)) throw noListener(selector);
    for (const { group, slots } of chosen) if (slots.length > 0) refuseUnplaced(group);
    if (!options.force) for (const { group, slots } of chosen) refuseLast(group, slots);
    return chosen.flatMap(({ group, slots }) => mark(group, slots, true));
  });
}

/**
 * Makes drained listeners targets again.
 * @param selector null: all of them.
 * @throws NoMatchError
 */
export function undrain(
  specs: readonly Spec[],
  selector: Selector | null,
  options: { readonly bpffs?: string } = {},
): Promise<Drained[]> {
  return withGroups(specs, options, (groups) => {
    const chosen = groups.map((group) => ({
      group,
      slots: select(group, selector).filter(({ slot }) => slot.drained),
    }));
    if (chosen.every(({ slots }) => slots.length === 0)) {
      throw new NoMatchError(
        "no matching listener is drained: 'reuseport-migrate status' shows which are",
      );
    }
    return chosen.flatMap(({ group, slots }) => mark(group, slots, false));
  });
}

/** Returns drained listeners with their queues now, without those that have closed. */
export function drainedNow(drained: readonly Drained[], observer: Observer): Drained[] {
  const { queues } = observer.read();
  return drained.flatMap((one) => {
    const now = queues.get(one.cookie);
    return now ? [{ ...one, queued: now.length, halfOpen: now.halfOpen }] : [];
  });
}

/**
 * Shuts a drained listener down: it leaves LISTEN, and its connections migrate at once. Its owner
 * keeps a socket that no longer listens. Returns false if it has closed already.
 */
export function emptyStuck(drained: Drained, observer: Observer): boolean {
  const listener = observer.read().listeners.find(({ cookie }) => cookie === drained.cookie);
  return listener !== undefined && shutDown(listener) !== null;
}

function select({ group, listeners }: Changeable, selector: Selector | null): SlotRecord[] {
  const byCookie = new Map(listeners.map((listener) => [listener.cookie, listener]));
  return group.slots().filter(({ slot }) => {
    const listener = byCookie.get(slot.cookie);
    if (!listener) return false;
    if (selector === null) return true;
    if ("pid" in selector) return listener.owners.some(({ pid }) => pid === selector.pid);
    if ("cookie" in selector) return slot.cookie === selector.cookie;
    return slot.generation === selector.generation;
  });
}

/** Where listeners have no slot, the kernel's hash would go on choosing a drained one. */
function refuseUnplaced({ group, listeners }: Changeable): void {
  const count = countUnplaced(group, listeners);
  if (count === 0) return;
  const { key, slots } = group.record;
  const advice =
    slots < MAX_SLOTS ? "try again once a sidecar has made room" : `use at most ${slots} listeners`;
  throw new ConflictError(
    `nothing can be drained on ${endpoint(key)}: ${count} of its listeners have no slot, so the kernel's hash chooses among all; ${advice}`,
  );
}

function refuseLast({ group, listeners }: Changeable, leaving: readonly SlotRecord[]): void {
  if (leaving.length === 0) return;
  const live = new Set(listeners.map(({ cookie }) => cookie));
  const drained = new Set(leaving.map(({ slot }) => slot.slot));
  const left = group
    .slots()
    .some(({ slot }) => live.has(slot.cookie) && !slot.drained && !drained.has(slot.slot));
  if (left) return;
  throw new ConflictError(
    `${endpoint(group.record.key)} would have no target left: new connections would be refused; use --force to drain it anyway`,
  );
}

function mark(changeable: Changeable, slots: readonly SlotRecord[], drained: boolean): Drained[] {
  const { group, listeners } = changeable;
  if (slots.length === 0) return [];
  for (const record of slots) group.setSlot({ ...record, slot: { ...record.slot, drained } });
  applyChanged(changeable);
  return slots.flatMap(({ slot }) => {
    const { cookie, generation } = slot;
    const listener = listeners.find((each) => each.cookie === cookie);
    if (!listener) return [];
    const { length: queued, halfOpen } = changeable.queues.get(cookie) ?? NO_QUEUES;
    const pids = listener.owners.map(({ pid }) => pid);
    const place = { group: group.name, endpoint: endpoint(listener.key), slot: slot.slot };
    return [{ ...place, cookie, generation, pids, queued, halfOpen }];
  });
}

function noListener(selector: Selector): NoMatchError {
  const [[name, value] = []] = Object.entries(selector);
  return new NoMatchError(
    `no listener with ${name} ${value}: 'reuseport-migrate status --json' shows pids, cookies and generations`,
  );
}
