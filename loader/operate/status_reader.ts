/** Reads status from the pins and the kernel, once or repeatedly. Requires no sidecar. */
import { readAdoptions } from "../adoption/adoption_status.ts";
import { lockHolder } from "../bpf/directory_lock.ts";
import { findBpffs, PinTree } from "../bpf/pin_tree.ts";
import { countsRuns } from "../bpf/program.ts";
import { runningSidecars } from "../bpf/sidecar_marks.ts";
import { groupName, isMember, type Listener, type QueuesByCookie } from "../core/listener.ts";
import { matchesSpec, portsOf, type Spec } from "../core/spec.ts";
import { AbiMismatchError } from "../errors.ts";
import { Group } from "../group/group.ts";
import { requireHost } from "../host/capabilities.ts";
import { KernelCounts } from "../net/kernel_migrations.ts";
import { specOf } from "../observe/coverage.ts";
import { Observer } from "../observe/observer.ts";
import { Owned } from "../owned.ts";
import { type GroupStatus, groupStatus, type Status } from "./status.ts";

export interface StatusReaderOptions {
  /** Read the groups of these only; without any, every pinned group. */
  readonly specs?: readonly Spec[];
  /** As for attach. */
  readonly bpffs?: string;
  /**
   * Keep reading the kernel's counts of a namespace after its last process has exited, as in a
   * container that is restarted. This keeps the namespace, so use it for a short time only.
   */
  readonly keepNetns?: boolean;
}

/** Keeps the iterator loaded between readings. */
export class StatusReader implements Disposable {
  readonly #pinTree: PinTree;
  readonly #specs: readonly Spec[];
  readonly #own: Disposable;
  readonly #observer: Observer;
  /** null: made for each reading. */
  readonly #counts: KernelCounts | null;

  constructor(options: StatusReaderOptions = {}) {
    requireHost("read");
    this.#pinTree = new PinTree(findBpffs(options.bpffs));
    this.#specs = options.specs ?? [];
    using own = new Owned();
    this.#observer = own.use(new Observer());
    this.#counts = options.keepNetns ? own.use(new KernelCounts()) : null;
    this.#own = own.move();
  }

  read(): Status {
    const { groups: members, listeners, queues } = this.#observer.read();
    const specs = this.#specs;
    const groups: GroupStatus[] = [];
    const errors: string[] = [];
    const managed = new Set(this.#pinTree.groups());
    for (const name of managed) {
      try {
        const group = this.#group(name, members.get(name) ?? [], queues);
        if (group) groups.push(group);
      } catch (error) {
        if (!this.#pinTree.has(name)) continue; // detached after it was listed
        if (!(error instanceof AbiMismatchError)) throw error;
        errors.push(error.message);
      }
    }
    const unattached = specs.filter((spec) => !groups.some(({ key }) => matchesSpec(spec, key)));
    const unmanaged = listeners.filter(
      (listener) => specOf(specs, listener.key) && !managed.has(groupNameOf(listener)),
    );
    const ports = new Set(portsOf(specs));
    const adoptions = readAdoptions(this.#pinTree, ports, errors);
    const kernel = this.#readKernelCounts(groups);
    const sidecars = this.#sidecars(managed);
    return { groups, adoptions, unattached, unmanaged, sidecars, kernel, errors };
  }

  /** @param groups names of all groups */
  #sidecars(groups: ReadonlySet<string>): Status["sidecars"] {
    const counts = new Map(runningSidecars(this.#pinTree).map((pid) => [pid, 0]));
    for (const name of groups) {
      const pid = this.#pinTree.has(name) ? lockHolder(this.#pinTree.directory(name)) : null;
      if (pid !== null) counts.set(pid, (counts.get(pid) ?? 0) + 1);
    }
    return [...counts].map(([pid, count]) => ({ pid, groups: count }));
  }

  #readKernelCounts(groups: readonly GroupStatus[]): Status["kernel"] {
    if (this.#counts) return this.#counts.read(groups);
    using counts = new KernelCounts();
    return counts.read(groups);
  }

  #group(name: string, members: readonly Listener[], queues: QueuesByCookie): GroupStatus | null {
    using group = Group.open(this.#pinTree.directory(name));
    if (this.#specs.length > 0 && !specOf(this.#specs, group.record.key)) return null;
    const sidecar = lockHolder(this.#pinTree.directory(name));
    return groupStatus(group, { members, queues, sidecar, countsRuns: countsRuns() });
  }

  [Symbol.dispose](): void {
    this.#own[Symbol.dispose]();
  }
}

/** Returns the name of a listener's group; empty: it is in none. */
function groupNameOf(listener: Listener): string {
  return isMember(listener) ? groupName(listener.key) : "";
}

/** Reads status once. */
export function readStatus(options: StatusReaderOptions = {}): Status {
  using reader = new StatusReader(options);
  return reader.read();
}
