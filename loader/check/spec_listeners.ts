/** What listens where the SPECs point: groups, and what is in none. Read once, nothing is changed. */

import { findBpffs, lockHolder, PinTree } from "../bpf/pin_tree.ts";
import { byGroup, endpoint, isMember, type Listener } from "../core/listener.ts";
import { matchesSpec, type Spec } from "../core/spec.ts";
import { cgroupOf } from "../host/cgroup.ts";
import { Observer } from "../observe/observer.ts";
import { groupProbes } from "./group_probe.ts";
import type { CheckOptions } from "./host.ts";
import { ownersText } from "./owners.ts";
import { type Finding, no, type Result, runProbes } from "./probe.ts";

/** A group, or what else listens where a SPEC points. */
export interface SpecGroup {
  readonly spec: string;
  /** `0.0.0.0:443`, or the SPEC itself where nothing listens. */
  readonly name: string;
  /** Inode number of its network namespace; null where nothing listens. */
  readonly netns: number | null;
  readonly results: readonly Result[];
}

/** @param pins where pins are; null: there is no bpffs */
export async function checkSpecGroups(
  specs: readonly Spec[],
  pins: CheckOptions | null,
): Promise<readonly SpecGroup[]> {
  const pinTree = pins && new PinTree(findBpffs(pins.bpffs));
  const all = readAll();
  const places: SpecGroup[] = [];
  for (const spec of specs) {
    const there = all.filter(({ key }) => matchesSpec(spec, key));
    const groups = byGroup(there);
    for (const [name, members] of groups) {
      const results = await runProbes(groupProbes(name, members, pinTree), pins?.signal);
      const holder = pinTree?.has(name) ? lockHolder(pinTree.directory(name)) : null;
      places.push({
        ...placeOf(spec, members[0]),
        results: [...results, conclusion(results, holder)],
      });
    }
    for (const listener of there.filter((it) => !isMember(it))) {
      // Beside a group that can be covered, it is only left out.
      const results = [outsider(listener, groups.size === 0)];
      places.push({ ...placeOf(spec, listener), results });
    }
    if (there.length === 0)
      places.push({ ...placeOf(spec, undefined), results: [nobody(all, spec)] });
  }
  return places;
}

function readAll(): readonly Listener[] {
  using observer = new Observer({ udp: true });
  return observer.read().listeners;
}

function placeOf({ text }: Spec, listener: Listener | undefined): Omit<SpecGroup, "results"> {
  const netns = listener?.key.netns ?? null;
  return { spec: text, name: listener ? endpoint(listener.key) : text, netns };
}

/**
 * Would attaching work, by all that was found.
 * @param holder pid of the sidecar that manages the group
 */
function conclusion(results: readonly Result[], holder: number | null): Result {
  const about = { name: "attach", use: "to migrate", required: true } as const;
  const refused = results.filter(({ required, outcome }) => required && outcome === "no");
  if (refused.length > 0) {
    const why = refused.map(({ name }) => name).join(", ");
    return { ...about, ...no(`would be refused: see ${why}`) };
  }
  const unsure = results.find(({ required, outcome }) => required && outcome === "unknown");
  if (unsure) return { ...about, outcome: "unknown", detail: `depends on ${unsure.name}` };
  const detail = holder ? `not needed: sidecar ${holder} manages it` : "would work";
  return { ...about, outcome: "ok", detail };
}

/** A listener that is in no group. */
function outsider(listener: Listener, required: boolean): Result {
  const about = { use: "to be in a group", required };
  const who = ownersText(listener.owners);
  const what: Readonly<Record<Listener["protocol"], () => [string, Finding]>> = {
    udp: () => ["TCP", no(`${who} uses UDP`)],
    mptcp: () => ["SO_REUSEPORT", lacksReuseport(listener, who)],
    tcp: () => ["SO_REUSEPORT", lacksReuseport(listener, who)],
  };
  const [name, found] = what[listener.protocol]();
  return { name, ...about, ...found };
}

function lacksReuseport(listener: Listener, who: string): Finding {
  if (listener.reuseport) {
    return no(`${who} sets it after bind(), which is too late`, "set it before, and restart it");
  }
  const [owner] = listener.owners;
  const cgroup = owner ? cgroupOf(owner.pid) : null;
  const { port } = listener.key;
  const adopt = `'reuseport-migrate attach :${port} --adopt --cgroup ${cgroup ?? "PATH"}'`;
  return no(`${who} does not set it`, `have it set, or run ${adopt} and restart the server once`);
}

function nobody(all: readonly Listener[], { text, port }: Spec): Result {
  const elsewhere = all.filter(({ key, protocol }) => key.port === port && protocol !== "udp");
  const where = [...new Set(elsewhere.map(({ key }) => endpoint(key)))].join(", ");
  const found = where
    ? no(`nothing listens on ${text}, but on ${where}`, `name that, or ':${port}' for all`)
    : no(`nothing listens on ${text}`, "start the server, or attach with --wait");
  return { name: "listeners", use: "to attach to", required: true, ...found };
}
