/** The groups and other listeners that match SPECs. Reads the host once and changes nothing. */
import { lockHolder } from "../bpf/directory_lock.ts";
import { findBpffs, PinTree } from "../bpf/pin_tree.ts";
import { byGroup, endpoint, isMember, type Listener } from "../core/listener.ts";
import { matchesSpec, type Spec } from "../core/spec.ts";
import { cgroupOf } from "../host/cgroup.ts";
import { ownNetns } from "../net/netns_inode.ts";
import { Observer } from "../observe/observer.ts";
import { groupProbes } from "./group_probe.ts";
import type { CheckOptions } from "./host.ts";
import { adoptAdvice, ownersText } from "./owners.ts";
import { type Finding, no, type Result, runProbes } from "./probe.ts";

/** A group that matches a SPEC, or a listener that is in no group, or a SPEC without listeners. */
export interface SpecGroup {
  readonly spec: string;
  /** `0.0.0.0:443`, or the SPEC itself without listeners. */
  readonly name: string;
  /** Inode number of the network namespace, or null without listeners. */
  readonly netns: number | null;
  readonly results: readonly Result[];
}

/** @param pins null without bpffs */
export async function checkSpecGroups(
  specs: readonly Spec[],
  pins: CheckOptions | null,
): Promise<readonly SpecGroup[]> {
  const pinTree = pins && new PinTree(findBpffs(pins.bpffs));
  const all = readAll();
  const found: SpecGroup[] = [];
  for (const spec of specs) {
    // Other namespaces have ports of all kinds; one port of theirs is worth a look.
    const isNear = ({ key }: Listener) => spec.port !== null || key.netns === ownNetns();
    const matching = all.filter((it) => matchesSpec(spec, it.key) && isNear(it));
    const groups = byGroup(matching);
    for (const [name, members] of groups) {
      const results = await runProbes(groupProbes(name, members, pinTree), pins?.signal);
      const holder = pinTree?.has(name) ? lockHolder(pinTree.directory(name)) : null;
      found.push({
        ...headOf(spec, members[0]),
        results: [...results, conclusion(results, holder)],
      });
    }
    // Nothing was expected of a listener that a SPEC of every port happens to match.
    const ungroupedOnes = spec.port === null ? [] : matching.filter((it) => !isMember(it));
    for (const listener of ungroupedOnes) {
      // Only a warning if the SPEC also matches a group, which attach can cover.
      const results = [ungrouped(listener, groups.size === 0)];
      found.push({ ...headOf(spec, listener), results });
    }
    if (groups.size + ungroupedOnes.length === 0)
      found.push({ ...headOf(spec, undefined), results: [noListener(all, spec)] });
  }
  return found;
}

function readAll(): readonly Listener[] {
  using observer = new Observer({ udp: true });
  return observer.read().listeners;
}

function headOf({ text }: Spec, listener: Listener | undefined): Omit<SpecGroup, "results"> {
  const netns = listener?.key.netns ?? null;
  return { spec: text, name: listener ? endpoint(listener.key) : text, netns };
}

/**
 * Returns whether attaching would work, given the results of all probes.
 * @param holder pid of the sidecar that manages the group, or null
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

/** Returns why a listener is in no group. */
function ungrouped(listener: Listener, required: boolean): Result {
  const about = { use: "to be in a group", required };
  const owners = ownersText(listener.owners);
  return listener.protocol === "udp"
    ? { name: "TCP", ...about, ...no(`${owners} uses UDP`) }
    : { name: "SO_REUSEPORT", ...about, ...lacksReuseport(listener, owners) };
}

function lacksReuseport(listener: Listener, owners: string): Finding {
  if (listener.reuseport) {
    return no(`${owners} sets it after bind(), too late`, "set it before bind(), and restart");
  }
  const [owner] = listener.owners;
  const cgroup = owner ? cgroupOf(owner.pid) : null;
  const { port } = listener.key;
  return no(`${owners} does not set it`, `set it, or ${adoptAdvice(port, cgroup)}`);
}

function noListener(all: readonly Listener[], { text, port }: Spec): Result {
  const elsewhere = all.filter(({ key, protocol }) => key.port === port && protocol !== "udp");
  const where = [...new Set(elsewhere.map(({ key }) => endpoint(key)))].join(", ");
  const found = where
    ? no(`nothing listens on ${text}, but on ${where}`, `give that, or ':${port}' for all`)
    : no(`nothing listens on ${text}`, "start the server, or attach with --wait");
  return { name: "listeners", use: "to attach to", required: true, ...found };
}
