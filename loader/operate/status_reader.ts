/** Reads status from the pins and the kernel, once or again and again. Needs no sidecar. */
import { readAdoptions } from "../adoption/adoption_status.ts";
import { findBpffs, lockHolder, PinTree } from "../bpf/pin_tree.ts";
import { countsRuns } from "../bpf/program.ts";
import { isMember, type Listener, type QueuesByCookie } from "../core/listener.ts";
import type { Spec } from "../core/spec.ts";
import { AbiMismatchError } from "../errors.ts";
import { Group } from "../group/group.ts";
import { requireHost } from "../host/capabilities.ts";
import { KernelCounts, kernelCounts } from "../net/kernel_migrations.ts";
import { specOf } from "../observe/coverage.ts";
import { Observer } from "../observe/observer.ts";
import { type GroupStatus, groupStatus, type Status } from "./status.ts";

export interface StatusOptions {
  /** Only groups these name; without, all that are pinned. */
  readonly specs?: readonly Spec[];
  /** As for attach. */
  readonly bpffs?: string;
  /**
   * Go on reading the kernel's counts of a namespace whose processes have all ended, as those of a
   * container that is restarted. It keeps the namespace, so not for long.
   */
  readonly keepNetns?: boolean;
}

/** Holds the loaded iterator between readings. */
export class StatusReader implements Disposable {
  readonly #pinTree: PinTree;
  readonly #specs: readonly Spec[];
  readonly #observer: Observer;
  readonly #counts: KernelCounts | null;

  constructor(options: StatusOptions = {}) {
    requireHost();
    this.#pinTree = new PinTree(findBpffs(options.bpffs));
    this.#specs = options.specs ?? [];
    this.#observer = new Observer();
    this.#counts = options.keepNetns ? new KernelCounts() : null;
  }

  read(): Status {
    const { groups: members, queues } = this.#observer.snapshot();
    const specs = this.#specs;
    const groups: GroupStatus[] = [];
    const errors: string[] = [];
    const managed = new Set(this.#pinTree.groups());
    for (const name of managed) {
      try {
        const group = this.#group(name, members.get(name) ?? [], queues);
        if (group) groups.push(group);
      } catch (error) {
        if (!this.#pinTree.has(name)) continue; // detached since it was listed
        if (!(error instanceof AbiMismatchError)) throw error;
        errors.push(error.message);
      }
    }
    const unmanaged = [...members].flatMap(([name, list]) =>
      managed.has(name) ? [] : list.filter((l) => isMember(l) && specOf(specs, l.key)),
    );
    const ports = new Set(specs.map(({ port }) => port));
    const adoptions = readAdoptions(this.#pinTree, ports, errors);
    const kernel = this.#counts?.read(groups) ?? kernelCounts(groups);
    return { groups, adoptions, unmanaged, kernel, errors };
  }

  #group(name: string, members: readonly Listener[], queues: QueuesByCookie): GroupStatus | null {
    using group = Group.open(this.#pinTree.directory(name));
    if (this.#specs.length > 0 && !specOf(this.#specs, group.record.key)) return null;
    const sidecar = lockHolder(this.#pinTree.directory(name));
    return groupStatus(group, { members, queues, sidecar, countsRuns: countsRuns() });
  }

  [Symbol.dispose](): void {
    this.#observer[Symbol.dispose]();
    this.#counts?.[Symbol.dispose]();
  }
}

/** One reading. */
export function readStatus(options: StatusOptions = {}): Status {
  using reader = new StatusReader(options);
  return reader.read();
}
