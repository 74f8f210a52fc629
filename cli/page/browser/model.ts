/** What the page knows of the groups: the last status, and what moved since the one before. Pure. */

export interface ListenerJson {
  readonly cookie: string;
  readonly protocol: string;
  readonly generation: number | null;
  readonly role: string;
  readonly owners: readonly { readonly pid: number; readonly comm: string }[];
  readonly queue_length: number;
  readonly queue_limit: number;
  readonly half_open: number;
  readonly migrated_out: number;
  readonly migrated_into: number;
}

export interface DecisionJson {
  readonly stage: string;
  readonly outcome: string;
  readonly reason?: string;
  readonly count: number;
}

export interface GroupJson {
  readonly name: string;
  readonly service: string;
  readonly netns_name: string | null;
  readonly family: string;
  readonly address: string;
  readonly port: number;
  readonly attached: boolean;
  readonly generation: number;
  readonly listeners: readonly ListenerJson[];
  readonly decisions: readonly DecisionJson[];
  readonly hold: {
    readonly time_ms: number;
    readonly max: number;
    readonly standby: boolean;
    readonly holding: boolean;
    readonly left_ms: number | null;
    readonly connections: number;
    readonly received_syn: number;
    readonly received_migrated: number;
  } | null;
  readonly holds: {
    readonly started: number;
    readonly connections: { readonly handed_over: number; readonly reset: number };
  };
  readonly closed_listeners: { readonly migrated_out: number; readonly migrated_into: number };
}

export interface StatusJson {
  readonly groups: readonly GroupJson[];
  readonly gone: readonly string[];
}

/** The id of the standby, as the end of a flow. */
export const POOL = "pool";

/** Connections that moved from some boxes to others, since the last status. */
export interface Flow {
  readonly from: readonly string[];
  readonly into: readonly string[];
  readonly count: number;
}

export interface Loss {
  readonly count: number;
  readonly reason: string;
}

/** A group, and what happened since the status before. */
export interface GroupView {
  readonly group: GroupJson;
  /** Listeners that have closed since the status before. */
  readonly closed: readonly ListenerJson[];
  readonly flows: readonly Flow[];
  /** All losses there ever were. */
  readonly losses: readonly Loss[];
  /** Whether there are more of them than before. */
  readonly isLosing: boolean;
  /** When something moved last, ms; 0: never. */
  readonly activeMs: number;
}

export interface Totals {
  readonly moved: number;
  readonly held: number;
  readonly lost: number;
}

const isMigrating = ({ stage }: DecisionJson) => stage !== "syn";
const sum = (counts: readonly number[]) => counts.reduce((total, count) => total + count, 0);

export function movedOf({ decisions }: GroupJson): number {
  const moved = decisions.filter((it) => isMigrating(it) && it.outcome === "selected");
  return sum(moved.map(({ count }) => count));
}

const REASONS: Readonly<Record<string, string>> = {
  accept_queue: "queued, dropped",
  handshake_ack: "half-open, dropped at its ACK",
  handshake_timer: "half-open, dropped at its timer",
};

export function lossesOf({ decisions, holds }: GroupJson): Loss[] {
  const dropped = decisions
    .filter((it) => isMigrating(it) && it.outcome === "dropped" && it.count > 0)
    .map(({ stage, reason, count }) => ({
      count,
      reason: `${REASONS[stage] ?? stage}: ${reason ?? "by policy"}`,
    }));
  const { reset } = holds.connections;
  return reset > 0
    ? [...dropped, { count: reset, reason: "held, reset: no server came" }]
    : dropped;
}

/** Returns what moved between two states of one group. */
export function flowsBetween(before: GroupJson, now: GroupJson): Flow[] {
  const had = new Map(before.listeners.map((it) => [it.cookie, it]));
  const has = new Map(now.listeners.map((it) => [it.cookie, it]));
  const boxOf = ({ cookie, role }: ListenerJson) => (role === "standby" ? POOL : cookie);
  const into = now.listeners.filter(
    (it) => it.migrated_into > (had.get(it.cookie)?.migrated_into ?? 0),
  );
  const from = before.listeners.filter((it) => {
    const same = has.get(it.cookie);
    return same === undefined || same.migrated_out > it.migrated_out;
  });
  const ends = into.map(boxOf);
  if ((now.hold?.received_migrated ?? 0) > (before.hold?.received_migrated ?? 0)) ends.push(POOL);
  const count = movedOf(now) - movedOf(before);
  if (count <= 0 || ends.length === 0) return [];
  const starts = from.map(boxOf);
  return [{ from: [...new Set(starts)], into: [...new Set(ends)], count }];
}

export class Model {
  readonly #views = new Map<string, GroupView>();

  get views(): ReadonlyMap<string, GroupView> {
    return this.#views;
  }

  /** Returns the names of the groups that changed, or are gone. */
  apply({ groups, gone }: StatusJson, nowMs: number): string[] {
    for (const name of gone) this.#views.delete(name);
    for (const group of groups) this.#views.set(group.name, this.#viewOf(group, nowMs));
    return [...gone, ...groups.map(({ name }) => name)];
  }

  /** A new connection to the sidecar: it sends every group again. */
  keep(names: ReadonlySet<string>): string[] {
    const gone = [...this.#views.keys()].filter((name) => !names.has(name));
    for (const name of gone) this.#views.delete(name);
    return gone;
  }

  #viewOf(group: GroupJson, nowMs: number): GroupView {
    const before = this.#views.get(group.name);
    const losses = lossesOf(group);
    if (!before) {
      return { group, closed: [], flows: [], losses, isLosing: false, activeMs: 0 };
    }
    const has = new Set(group.listeners.map(({ cookie }) => cookie));
    const closed = before.group.listeners.filter(
      ({ cookie, role }) => !has.has(cookie) && role !== "standby",
    );
    const flows = flowsBetween(before.group, group);
    const lost = (all: readonly Loss[]) => sum(all.map(({ count }) => count));
    const isLosing = lost(losses) > lost(before.losses);
    const isActive = closed.length > 0 || flows.length > 0 || isLosing || group.hold?.holding;
    return {
      group,
      closed,
      flows,
      losses,
      isLosing,
      activeMs: isActive ? nowMs : before.activeMs,
    };
  }

  totals(): Totals {
    const all = [...this.#views.values()];
    return {
      moved: sum(all.map(({ group }) => movedOf(group))),
      held: sum(all.map(({ group }) => group.holds.connections.handed_over)),
      lost: sum(all.flatMap(({ losses }) => losses.map(({ count }) => count))),
    };
  }
}

/** Which groups a user wants to see. */
export interface Wanted {
  readonly text: string;
  readonly service: string;
  readonly netns: string;
}

export const netnsOf = ({ netns_name }: GroupJson): string => netns_name ?? "own";

export function endpointOf({ family, address, port }: GroupJson): string {
  return family === "ipv6" ? `[${address}]:${port}` : `${address}:${port}`;
}

export function isShown({ group }: GroupView, { text, service, netns }: Wanted): boolean {
  if (service !== "" && group.service !== service) return false;
  if (netns !== "" && netnsOf(group) !== netns) return false;
  if (text === "") return true;
  const owners = group.listeners.flatMap(({ owners }) =>
    owners.map((it) => `${it.comm} ${it.pid}`),
  );
  const words = [endpointOf(group), group.service, netnsOf(group), ...owners].join(" ");
  return words.toLowerCase().includes(text.toLowerCase());
}

/** Sorts groups: those that hold, then those that moved last, then by name. */
export function byActivity(a: GroupView, b: GroupView): number {
  const holding = (view: GroupView) => (view.group.hold?.holding ? 1 : 0);
  return (
    holding(b) - holding(a) ||
    b.activeMs - a.activeMs ||
    (a.group.name < b.group.name ? -1 : Number(a.group.name > b.group.name))
  );
}

/** Returns what a card says to a screen reader. */
export function summaryOf({ group, losses }: GroupView): string {
  const served = group.listeners.filter(({ role }) => role !== "standby");
  const waiting = sum(served.map(({ queue_length }) => queue_length));
  const hold = group.hold?.holding
    ? `, holding ${group.hold.connections} connections`
    : group.hold
      ? ", a standby is ready"
      : "";
  const lost = sum(losses.map(({ count }) => count));
  return `${endpointOf(group)}, service ${group.service}: ${served.length} listeners, ${waiting} connections waiting${hold}, ${movedOf(group)} moved, ${lost} lost`;
}
