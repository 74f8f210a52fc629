/**
 * Groups that a sidecar takes on at its start: where something listens, and where another one held.
 */
import { setImmediate as turn } from "node:timers/promises";
import type { PinTree } from "../bpf/pin_tree.ts";
import type { Listener } from "../core/listener.ts";
import { ConflictError, UsageError } from "../errors.ts";
import { type GroupRecords, readRecords } from "../group/records.ts";
import { countUnselectable } from "../hold/members.ts";
import { endOrphans } from "../keeper/orphans.ts";
import { type Journal, message } from "../log.ts";
import { noMatch } from "../observe/coverage.ts";
import { Observer } from "../observe/observer.ts";
import { matchOwners, type OwnedMatch, ServicesByPort } from "../service/ownership.ts";
import type { Service } from "../service/service.ts";
import { SLICE_MS } from "../time_slices.ts";

/**
 * A read may miss a listener that is just opening; it then looks unselectable ({@link
 * countUnselectable}).
 */
const READS = 3;

interface StartContext {
  readonly pinTree: PinTree;
  readonly observer: Observer;
  /** Ends the start early. */
  isClosing(): boolean;
  /** Returns the groups in the order in which they are taken on. */
  select(matches: readonly OwnedMatch[]): OwnedMatch[];
}

interface Found {
  readonly listeners: readonly Listener[];
  /** Groups that have not been taken on yet. */
  readonly matches: OwnedMatch[];
}

/**
 * Takes on every group, in slices that each hold the pin tree's lock. The host is read under the
 * first lock, so that a sidecar that starts beside another one sees the result of that one.
 * @returns every listener of the host
 * @throws NoMatchError
 */
export async function takeOnAtStart(
  context: StartContext,
  services: readonly Service[],
  takeOn: (match: OwnedMatch) => void,
): Promise<readonly Listener[]> {
  let found: Found | null = null;
  for (;;) {
    found = await takeOnSome(context, services, found, takeOn);
    if (found.matches.length === 0 || context.isClosing()) break;
    await turn();
  }
  endOrphans();
  return found.listeners;
}

async function takeOnSome(
  context: StartContext,
  services: readonly Service[],
  known: Found | null,
  takeOn: (match: OwnedMatch) => void,
): Promise<Found> {
  using _lock = await context.pinTree.lock();
  const found = known ?? (await findAtStart(context, services));
  if (known === null) requireMatch(services, found.matches);
  const endMs = performance.now() + SLICE_MS;
  while (!context.isClosing()) {
    const match = found.matches.shift();
    if (match) takeOn(match);
    if (!match || performance.now() >= endMs) break;
  }
  return found;
}

async function findAtStart(
  { pinTree, observer, select }: StartContext,
  services: readonly Service[],
): Promise<Found> {
  const byPort = new ServicesByPort(services);
  for (let reads = 1; ; reads++) {
    const { listeners, groups } = await observer.snapshot();
    const matches = matchOwners(groups, byPort);
    const isWhole = matches.every(
      ({ owner, members }) => !holds(owner) || countUnselectable(members) === 0,
    );
    if (isWhole || reads === READS) {
      const held = heldBefore(pinTree, services, matches, groups);
      return { listeners, matches: [...select(matches), ...held] };
    }
  }
}

/** @throws NoMatchError if a service that does not wait has no match */
function requireMatch(services: readonly Service[], matches: readonly OwnedMatch[]): void {
  const has = (service: Service) => matches.some(({ owner }) => owner === service);
  const idle = services.find((service) => !service.waits && !has(service));
  if (!idle) return;
  using observer = new Observer({ udp: true });
  throw noMatch(observer.read().listeners, idle.options.specs, idle.filter);
}

function holds({ options }: Service): boolean {
  return Boolean(options.hold);
}

/**
 * Returns the groups in which another sidecar held, or would have if it had not been killed before.
 */
function heldBefore(
  pinTree: PinTree,
  services: readonly Service[],
  matches: readonly OwnedMatch[],
  groups: ReadonlyMap<string, readonly Listener[]>,
): OwnedMatch[] {
  const held: OwnedMatch[] = [];
  if (!services.some(holds)) return held;
  const found = new Set(matches.map(({ name }) => name));
  for (const name of pinTree.groups()) {
    if (found.has(name)) continue;
    const records = readRecords(pinTree.directory(name));
    if (records === null || !continuesHold(records)) continue;
    const { key, service: before } = records.record;
    const candidates = services.filter((each) => holds(each) && each.nameAt(key) !== null);
    const owner = candidates.find((each) => each.nameAt(key) === before) ?? candidates[0];
    const service = owner?.nameAt(key);
    if (!owner || !service) continue;
    // Its only member is the standby of a keeper, which passes no filter of a server.
    held.push({ name, service, members: groups.get(name) ?? [], owner });
  }
  return held;
}

/** Returns whether a hold is under way, or its last listener left before a sidecar noticed. */
function continuesHold({ record, standby, slots }: GroupRecords): boolean {
  if (standby.heldSinceMs !== null) return true;
  const hasOpenSlot = slots.some(({ slot }) => slot.closedMs === null);
  return hasOpenSlot && record.hold !== null;
}

/**
 * Adopts the cgroups of the services.
 * @param journal with several services, the conflict of one is logged and does not stop another;
 *   null: it is thrown
 * @throws ConflictError, UsageError
 * @requires the pin tree's lock
 */
export function adoptAtStart(
  pinTree: PinTree,
  services: readonly Service[],
  listeners: readonly Listener[],
  journal: Journal | null,
): void {
  for (const service of services) {
    const about = `adoption ${service.label}`;
    try {
      service.adopt(pinTree, listeners);
      journal?.settled(about);
    } catch (error) {
      const isConflict = error instanceof ConflictError || error instanceof UsageError;
      if (!journal || !isConflict) throw error;
      journal.warn(about, message(error));
    }
  }
}
