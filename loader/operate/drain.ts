/** drain: no new connections for a listener from now on, so that closing it has nothing to move. */

import { endpoint, type Listener } from "../core/listener.ts";
import type { Spec } from "../core/spec.ts";
import { ConflictError, NoMatchError } from "../errors.ts";
import type { SlotRecord } from "../group/codec.ts";
import { shutDown } from "../manage/members.ts";
import type { Observer } from "../observe/observer.ts";
import { applyChanged, type Changeable, withGroups } from "./pinned_groups.ts";

/** Which listeners of the SPECs' groups. */
export type Selector =
  | { readonly pid: number }
  | { readonly cookie: bigint }
  | { readonly generation: number };

/** A drained listener and what it holds. */
export interface Drained {
  readonly group: string;
  readonly endpoint: string;
  readonly cookie: bigint;
  readonly slot: number;
  readonly generation: number;
  readonly pid: number | null;
  /** Connections in its accept queue, and requests in handshake. */
  readonly queued: number;
  readonly halfOpen: number;
}

interface Options {
  readonly bpffs?: string;
  /** Drain the last target too: new connections then wait at a standby, or are refused without one. */
  readonly force?: boolean;
}

/**
 * Drains; when it returns, new connections go to the other targets.
 * @throws NoMatchError when no listener matches, ConflictError when it is the last target; nothing is changed then
 */
export function drain(
  specs: readonly Spec[],
  selector: Selector,
  options: Options = {},
): Promise<Drained[]> {
  return withGroups(specs, options, (groups) => {
    const chosen = groups.map((group) => ({ group, slots: select(group, selector) }));
    if (chosen.every(({ slots }) => slots.length === 0)) throw nobody(selector);
    if (!options.force) for (const { group, slots } of chosen) refuseLast(group, slots);
    return chosen.flatMap(({ group, slots }) => mark(group, slots, true));
  });
}

/** Makes drained listeners targets again: those selected, or all. @throws NoMatchError */
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
        "no listener that matches is drained: 'reuseport-migrate status' shows which are",
      );
    }
    return chosen.flatMap(({ group, slots }) => mark(group, slots, false));
  });
}

/** What drained listeners hold now, as the kernel says; those that have closed are left out. */
export function drainedNow(drained: readonly Drained[], observer: Observer): Drained[] {
  const now = new Map(observer.read().map((listener) => [listener.cookie, listener]));
  return drained.flatMap((one) => {
    const listener = now.get(one.cookie);
    if (!listener) return [];
    return [{ ...one, queued: listener.queueLength, halfOpen: listener.halfOpen }];
  });
}

/**
 * Empties a drained listener from outside: it leaves LISTEN, and what it holds migrates at once.
 * Its owner keeps a socket that listens no more. False when it is gone already.
 */
export function emptyStuck(drained: Drained, observer: Observer): boolean {
  const listener = observer.read().find(({ cookie }) => cookie === drained.cookie);
  return listener !== undefined && shutDown(listener);
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

function refuseLast({ group, listeners }: Changeable, going: readonly SlotRecord[]): void {
  if (going.length === 0) return;
  const live = new Set(listeners.map(({ cookie }) => cookie));
  const leaving = new Set(going.map(({ slot }) => slot.slot));
  const left = group
    .slots()
    .filter(({ slot }) => live.has(slot.cookie) && !slot.drained && !leaving.has(slot.slot));
  if (left.length > 0) return;
  throw new ConflictError(
    `${endpoint(group.record.key)} would have no target left: new connections would be refused; --force drains it all the same`,
  );
}

function mark(changeable: Changeable, slots: readonly SlotRecord[], drained: boolean): Drained[] {
  const { group, listeners } = changeable;
  if (slots.length === 0) return [];
  for (const record of slots) group.setSlot({ ...record, slot: { ...record.slot, drained } });
  applyChanged(changeable);
  return slots.flatMap(({ slot }) => {
    const listener = listeners.find(({ cookie }) => cookie === slot.cookie);
    return listener ? [describe(group.name, slot, listener)] : [];
  });
}

function describe(group: string, slot: SlotRecord["slot"], listener: Listener): Drained {
  return {
    group,
    endpoint: endpoint(listener.key),
    cookie: slot.cookie,
    slot: slot.slot,
    generation: slot.generation,
    pid: listener.owners[0]?.pid ?? null,
    queued: listener.queueLength,
    halfOpen: listener.halfOpen,
  };
}

function nobody(selector: Selector): NoMatchError {
  const [[name, value] = []] = Object.entries(selector);
  return new NoMatchError(
    `no listener with ${name} ${value}: 'reuseport-migrate status --json' shows pids, cookies and generations`,
  );
}
