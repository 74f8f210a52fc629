/** Which groups a service covers, by SPEC and filters; and why a listener is not covered. */

import {
  byGroup,
  endpoint,
  type GroupKey,
  type GroupMatch,
  isMember,
  type Listener,
  type Owner,
} from "../core/listener.ts";
import { matchesSpec, portsOf, type Spec } from "../core/spec.ts";
import { NoMatchError } from "../errors.ts";
import { cgroupOf, isBelow } from "../host/cgroup.ts";
import { cgroupLabels } from "../host/cgroup_label.ts";
import { MAX_ASKED } from "./group_owners.ts";

/** A group is covered if one of its listeners passes every filter. */
export interface Filter {
  readonly pid?: number;
  /** Start of that process (ms, CLOCK_BOOTTIME): another one may get its pid later. */
  readonly pidStartMs?: number;
  /** A cgroup v2 path as in /proc/PID/cgroup; its children pass too. */
  readonly cgroup?: string;
  /** Inode number of a network namespace. */
  readonly netns?: number;
}

/** Returns the first SPEC that matches this address. */
export function specOf(specs: readonly Spec[], key: GroupKey): Spec | undefined {
  return specs.find((spec) => matchesSpec(spec, key));
}

/** Returns why the filter excludes a listener; null if it passes. */
export function excludedBy(filter: Filter, listener: Listener): string | null {
  if (filter.netns !== undefined && listener.key.netns !== filter.netns) {
    return `it is in another network namespace (${listener.key.netns}; --netns all covers it)`;
  }
  const { pid, pidStartMs, cgroup } = filter;
  const isNamed = (owner: Owner) =>
    owner.pid === pid && (pidStartMs === undefined || owner.startMs === pidStartMs);
  if (pid !== undefined && !listener.owners.some(isNamed)) {
    return `process ${pid} does not hold it`;
  }
  const owners = cgroup === undefined ? [] : listener.owners.slice(0, MAX_ASKED);
  if (cgroup !== undefined && !owners.some((owner) => isBelow(cgroupOf(owner.pid), cgroup))) {
    return `no process of cgroup ${cgroup} holds it`;
  }
  return null;
}

/**
 * Returns the SPEC by which a group with these listeners is covered; undefined if none covers it.
 */
export function covers(
  members: readonly Listener[],
  specs: readonly Spec[],
  filter: Filter,
): Spec | undefined {
  const [first] = members;
  const spec = first && specOf(specs, first.key);
  const passes = spec && members.some((member) => excludedBy(filter, member) === null);
  return passes ? spec : undefined;
}

/** Returns the groups that are covered, with all their listeners. */
export function matchGroups(
  listeners: readonly Listener[],
  specs: readonly Spec[],
  filter: Filter,
): GroupMatch[] {
  const matches: GroupMatch[] = [];
  for (const [name, members] of byGroup(listeners)) {
    const spec = covers(members, specs, filter);
    if (spec) matches.push({ name, service: spec.text, members });
  }
  return matches;
}

/** Returns the error if nothing is covered; it names what listens instead. */
export function noMatch(
  listeners: readonly Listener[],
  specs: readonly Spec[],
  filter: Filter,
): NoMatchError {
  const reasons = explainNoMatch(listeners, specs, filter);
  const isAll = specs.some(({ port }) => port === null);
  const nothing = isAll ? "no TCP listener sets it" : "nothing listens on that port";
  const found = reasons.length ? `found ${reasons.join("; ")}` : nothing;
  const names = specs.map(({ text }) => text).join(", ");
  return new NoMatchError(
    `no listener with SO_REUSEPORT matches ${names}: ${found} (--wait starts before the server)`,
  );
}

/** Returns one sentence for each listener on the ports that `specs` name: why it is not covered. */
export function explainNoMatch(
  listeners: readonly Listener[],
  specs: readonly Spec[],
  filter: Filter,
): string[] {
  const ports = new Set(portsOf(specs));
  return listeners
    .filter(({ key }) => ports.has(key.port))
    .map((listener) => {
      const [owner] = listener.owners;
      const who = owner ? ` of ${owner.comm} (pid ${owner.pid})` : "";
      return `${listener.protocol} ${endpoint(listener.key)}${who}: ${whyNot(listener, specs, filter)}`;
    });
}

/** Returns what sets the option, in the words of the command line. */
function adoptOf({ owners: [owner] }: Listener): string {
  const { unit: own, container } = cgroupLabels(owner ? (cgroupOf(owner.pid) ?? "") : "");
  const [, unit] = /^(.+)\.service$/.exec(container === null ? (own ?? "") : "") ?? [];
  return unit === undefined
    ? "--adopt sets it"
    : `--adopt --unit ${unit} sets it at the next start`;
}

function whyNot(listener: Listener, specs: readonly Spec[], filter: Filter): string {
  if (listener.protocol === "udp") return "it is UDP";
  const excluded = excludedBy(filter, listener);
  if (excluded) return excluded;
  if (!specOf(specs, listener.key)) return "it listens on another address";
  if (!isMember(listener)) return `it does not set SO_REUSEPORT (${adoptOf(listener)})`;
  return "it matches";
}
