/** detach: detaches groups from the kernel, whether their sidecar runs or was killed. */
import { existsSync } from "node:fs";
import { type Unadopted, unadopt } from "../adoption/adopt.ts";
import { findBpffs, PinTree } from "../bpf/pin_tree.ts";
import { pinnedProgramId } from "../bpf/program.ts";
import { byGroup, type Listener } from "../core/listener.ts";
import type { Spec } from "../core/spec.ts";
import { AbiMismatchError } from "../errors.ts";
import { Group } from "../group/group.ts";
import { requireHost } from "../host/capabilities.ts";
import { detachProgram } from "../manage/attach.ts";
import { detachGroup } from "../manage/detach_group.ts";
import { specOf } from "../observe/coverage.ts";
import { Observer } from "../observe/observer.ts";
import { nothingAttached } from "./pinned_groups.ts";

export interface DetachOptions {
  /** Detaches the groups of these, and adoptions of their ports; with `all`, everything pinned. */
  readonly specs?: readonly Spec[];
  readonly all?: boolean;
  readonly bpffs?: string;
}

/** What a detach undid. */
export interface Detached {
  /** Names of groups. */
  readonly groups: readonly string[];
  readonly unadopted: readonly Unadopted[];
}

/** Detaches and unpins groups, and ends adoptions. @throws NoMatchError if no SPEC matches a pin */
export async function detach(options: DetachOptions): Promise<Detached> {
  requireHost();
  const pinTree = new PinTree(findBpffs(options.bpffs));
  const specs = options.specs ?? [];
  const groups: string[] = [];
  const unadopted: Unadopted[] = [];
  if (existsSync(pinTree.root)) {
    using observer = new Observer();
    using _lock = await pinTree.lock();
    const members = byGroup(observer.read().listeners);
    for (const name of pinTree.groups()) {
      if (detachOne(pinTree, name, members.get(name) ?? [], options)) groups.push(name);
    }
    const ports = options.all ? "all" : new Set(specs.map(({ port }) => port));
    unadopted.push(...unadopt(pinTree, ports));
  }
  pinTree.tidy();
  if (groups.length + unadopted.length === 0 && !options.all) {
    throw nothingAttached(specs);
  }
  return { groups, unadopted };
}

function detachOne(
  pinTree: PinTree,
  name: string,
  members: readonly Listener[],
  options: DetachOptions,
): boolean {
  let group: Group;
  try {
    group = Group.open(pinTree.directory(name));
  } catch (error) {
    // Pinned by another version: only the id of its program can be read.
    if (!(error instanceof AbiMismatchError) || !options.all) throw error;
    const id = pinnedProgramId(pinTree.directory(name));
    if (id !== null && members.some(({ programId }) => programId === id)) detachProgram(members);
    pinTree.remove(name);
    return true;
  }
  using own = group;
  if (!options.all && !specOf(options.specs ?? [], own.record.key)) return false;
  detachGroup(pinTree, own, members);
  return true;
}
