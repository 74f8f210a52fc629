/** What a sidecar takes on when it starts: groups that listen, and groups that another one held. */

import { type Assigned, assign, ServicesByPort } from "./assign.ts";
import { noMatch } from "./filter.ts";
import { Group } from "./group.ts";
import type { Listener } from "./listener.ts";
import { hidden } from "./members.ts";
import { Observer } from "./observe.ts";
import type { Service } from "./service.ts";
import type { State } from "./state.ts";

/** A read may miss a listener that is just opening, which looks as if it were hidden: see `hidden`. */
const READS = 3;

/** The event loop has its turn this often, ms. */
const TURN_MS = 10;

/** The groups to take on, and all that was observed. */
export function findAtStart(
  { state, observer }: { readonly state: State; readonly observer: Observer },
  services: readonly Service[],
): { listeners: readonly Listener[]; matches: Assigned[] } {
  const byPort = new ServicesByPort(services);
  for (let reads = 1; ; reads++) {
    const { listeners, groups } = observer.observe();
    const matches = [...groups].flatMap(([name, members]) => assign(name, members, byPort) ?? []);
    const whole = matches.every(({ owner, members }) => !holds(owner) || hidden(members) === 0);
    if (whole || reads === READS) {
      return { listeners, matches: [...matches, ...heldAlone(state, services, matches)] };
    }
  }
}

/** Takes on some of them, which are removed from the list, with the state locked; false: that were all. */
export function someOf(
  matches: Assigned[],
  state: State,
  takeOn: (match: Assigned) => void,
): boolean {
  using _lock = state.lock();
  const untilMs = performance.now() + TURN_MS;
  for (let match = matches.shift(); match; match = matches.shift()) {
    takeOn(match);
    if (performance.now() >= untilMs) break;
  }
  return matches.length > 0;
}

/** @throws NoMatchError for a service that does not wait, with what is there instead */
export function requireMatch(services: readonly Service[], matches: readonly Assigned[]): void {
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
  state: State,
  services: readonly Service[],
  matches: readonly Assigned[],
): Assigned[] {
  const held: Assigned[] = [];
  if (!services.some(holds)) return held;
  const found = new Set(matches.map(({ name }) => name));
  for (const name of state.groups()) {
    if (found.has(name)) continue;
    using group = Group.openOrNull(state.directory(name));
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
