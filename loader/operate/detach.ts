/** detach: detaches groups from the kernel, whether their sidecar runs or was killed. */
import { type Unadopted, unadopt } from "../adoption/adopt.ts";
import { lockHolder } from "../bpf/directory_lock.ts";
import { findBpffs, PinTree } from "../bpf/pin_tree.ts";
import type { Listener, QueuesByCookie } from "../core/listener.ts";
import { portsOf, type Spec } from "../core/spec.ts";
import { Group } from "../group/group.ts";
import { type HeldConnections, NO_CONNECTIONS } from "../group/hold_record.ts";
import { readRecords } from "../group/records.ts";
import { requireHost } from "../host/capabilities.ts";
import { endOrphans, noteOrphans } from "../keeper/orphans.ts";
import { detachGroup } from "../manage/detach_group.ts";
import { detachOther } from "../manage/other_version.ts";
import { specOf } from "../observe/coverage.ts";
import { Observer } from "../observe/observer.ts";
import { everyStep } from "../rollback.ts";
import { nothingAttached } from "./pinned_groups.ts";

export interface DetachOptions {
  /** Detaches the groups of these, and adoptions of their ports; with `all`, everything pinned. */
  readonly specs?: readonly Spec[];
  readonly all?: boolean;
  readonly bpffs?: string;
}

/** A group, and what became of the connections that its standby held. */
export interface DetachedGroup {
  readonly name: string;
  readonly held: HeldConnections;
}

/** What a detach undid. */
export interface Detached {
  readonly groups: readonly DetachedGroup[];
  readonly unadopted: readonly Unadopted[];
  /** Pids of sidecars that managed them: each leaves them alone until it is restarted. */
  readonly sidecars: readonly number[];
}

/** Detaches and unpins groups, and ends adoptions. @throws NoMatchError if no SPEC matches a pin */
export async function detach(options: DetachOptions): Promise<Detached> {
  requireHost("change");
  const pinTree = new PinTree(findBpffs(options.bpffs));
  const specs = options.specs ?? [];
  const groups: DetachedGroup[] = [];
  const unadopted: Unadopted[] = [];
  const sidecars = new Set<number>();
  if (pinTree.exists) {
    using observer = new Observer();
    using _lock = await pinTree.lock();
    const { groups: members, queues } = observer.read();
    const isAll = options.all || specs.some(({ port }) => port === null);
    const ports = isAll ? "all" : new Set(portsOf(specs));
    await everyStep([
      ...pinTree.groups().map((name) => () => {
        const sidecar = lockHolder(pinTree.directory(name));
        const found = { members: members.get(name) ?? [], queues };
        const held = detachOne(pinTree, name, found, options);
        if (held === null) return;
        groups.push({ name, held });
        if (sidecar !== null) sidecars.add(sidecar);
      }),
      () => void unadopted.push(...unadopt(pinTree, ports)),
    ]);
    endOrphans();
  }
  pinTree.tidy();
  if (groups.length + unadopted.length === 0 && !options.all) {
    throw nothingAttached(specs);
  }
  return { groups, unadopted, sidecars: [...sidecars] };
}

/**
 * Returns null if the group is not one of those to detach.
 * @throws ConflictError; AbiMismatchError if it is not known of which group the pins are
 */
function detachOne(
  pinTree: PinTree,
  name: string,
  { members, queues }: { members: readonly Listener[]; queues: QueuesByCookie },
  { all, specs = [] }: DetachOptions,
): HeldConnections | null {
  const directory = pinTree.directory(name);
  const records = readRecords(directory);
  if (!all && records && !specOf(specs, records.record.key)) return null;
  using group = all || records ? Group.openOrNull(directory) : Group.open(directory);
  const held = group ? detachGroup(pinTree, group, members, queues) : NO_CONNECTIONS;
  if (group === null) detachOther(pinTree, name, members);
  if (all) noteOrphans(members); // else their keeper may have the standby of a group that stays
  return held;
}
