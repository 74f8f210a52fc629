/** What a sidecar takes on when it starts: groups that listen, and groups that another one held. */
import { type Filter, type Match, matchGroups, specOf } from "./filter.ts";
import { Group } from "./group.ts";
import type { Listener } from "./listener.ts";
import { hidden } from "./members.ts";
import type { Observer } from "./observe.ts";
import type { HoldPolicy } from "./plan.ts";
import type { Spec } from "./spec.ts";
import type { State } from "./state.ts";

/** A read may miss a listener that is just opening, which looks as if it were hidden: see `hidden`. */
const READS = 3;

interface Wanted {
  readonly specs: readonly Spec[];
  readonly filter?: Filter;
  readonly hold?: HoldPolicy | null;
}

/** The groups to take on, and all that was observed. */
export function findAtStart(
  { state, observer }: { readonly state: State; readonly observer: Observer },
  { specs, filter = {}, hold }: Wanted,
): { listeners: Listener[]; matches: Match[] } {
  for (let reads = 1; ; reads++) {
    const listeners = observer.read();
    const matches = matchGroups(listeners, specs, filter);
    const whole = matches.every(({ members }) => hidden(members) === 0);
    if (!hold) return { listeners, matches };
    if (whole || reads === READS) {
      return { listeners, matches: [...matches, ...heldAlone(state, specs, filter, matches)] };
    }
  }
}

/** Groups whose hold another sidecar began and did not end: nobody listens in them. */
function heldAlone(
  state: State,
  specs: readonly Spec[],
  { netns }: Filter,
  matches: readonly Match[],
): Match[] {
  const held: Match[] = [];
  for (const name of state.groups()) {
    if (matches.some((match) => match.name === name)) continue;
    using group = Group.openOrNull(state.directory(name));
    if (group === null) continue;
    const { key } = group.record;
    const spec = specOf(specs, key);
    const elsewhere = netns !== undefined && netns !== key.netns;
    if (!spec || elsewhere || group.standby.heldSinceMs === null) continue;
    held.push({ name, service: spec.text, members: [] });
  }
  return held;
}
