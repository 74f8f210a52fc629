/** What a sidecar takes on when it starts: groups that listen, and groups that another one held. */

import type { PinTree } from "../bpf/pin_tree.ts";
import type { Listener } from "../core/listener.ts";
import { Group } from "../group/group.ts";
import { countUnselectable } from "../manage/members.ts";
import { noMatch } from "../observe/coverage.ts";
import { Observer } from "../observe/observer.ts";
import { type Assigned, assign, ServicesByPort } from "./assign.ts";
import type { Service } from "./service.ts";

/** A read may miss a listener that is just opening, which looks as if it were hidden: see `countUnselectable`. */
const READS = 3;

/** The event loop has its turn this often, ms. */
const TURN_MS = 10;

interface Place {
  readonly pinTree: PinTree;
  readonly observer: Observer;
}

/**
 * Takes on what there is, a few groups at a time; yields when others should have their turn.
 * Each time the state is locked; what is there is observed under the first lock, so that who starts
 * beside another sees what that one has done.
 * @returns all that was observed
 * @throws NoMatchError
 */
export function* takeOnAtStart(
  place: Place,
  services: readonly Service[],
  takeOn: (match: Assigned) => void,
): Generator<void, readonly Listener[]> {
  let found: Found | null = null;
  const some = (): Found => {
    using _lock = place.pinTree.lock();
    const all = found ?? findAtStart(place, services);
    if (found === null) requireMatch(services, all.matches);
    const untilMs = performance.now() + TURN_MS;
    for (let match = all.matches.shift(); match; match = all.matches.shift()) {
      takeOn(match);
      if (performance.now() >= untilMs) break;
    }
    return all;
  };
  for (;;) {
    found = some();
    if (found.matches.length === 0) return found.listeners;
    yield;
  }
}

interface Found {
  readonly listeners: readonly Listener[];
  /** Those that are left. */
  readonly matches: Assigned[];
}

function findAtStart({ pinTree, observer }: Place, services: readonly Service[]): Found {
  const byPort = new ServicesByPort(services);
  for (let reads = 1; ; reads++) {
    const { listeners, groups } = observer.snapshot();
    const matches = [...groups].flatMap(([name, members]) => assign(name, members, byPort) ?? []);
    const whole = matches.every(
      ({ owner, members }) => !holds(owner) || countUnselectable(members) === 0,
    );
    if (whole || reads === READS) {
      return { listeners, matches: [...matches, ...heldAlone(pinTree, services, matches)] };
    }
  }
}

/** @throws NoMatchError for a service that does not wait, with what is there instead */
function requireMatch(services: readonly Service[], matches: readonly Assigned[]): void {
  const has = (service: Service) => matches.some(({ owner }) => owner === service);
  const idle = services.find((service) => !service.waits && !has(service));
  if (!idle) return;
  using observer = new Observer({ udp: true });
  throw noMatch(observer.read(), idle.options.specs, idle.filter);
}

function holds({ options }: Service): boolean {
  return Boolean(options.hold);
}

/** Groups that another sidecar held, or would have if it had lived to see the last listener leave. */
function heldAlone(
  pinTree: PinTree,
  services: readonly Service[],
  matches: readonly Assigned[],
): Assigned[] {
  const held: Assigned[] = [];
  if (!services.some(holds)) return held;
  const found = new Set(matches.map(({ name }) => name));
  for (const name of pinTree.groups()) {
    if (found.has(name)) continue;
    using group = Group.openOrNull(pinTree.directory(name));
    if (group === null || !wasToHold(group)) continue;
    const { key, service: before } = group.record;
    const able = services.filter((each) => holds(each) && each.nameAt(key) !== null);
    const owner = able.find((each) => each.nameAt(key) === before) ?? able[0];
    const service = owner?.nameAt(key);
    if (owner && service) held.push({ name, service, members: [], owner });
  }
  return held;
}

/** Nobody listens in it, and no sidecar has ended its hold. */
function wasToHold(group: Group): boolean {
  if (group.standby.heldSinceMs !== null) return true;
  const unseen = group.slots().some(({ slot }) => slot.closedMs === null);
  return unseen && group.record.hold !== null;
}
