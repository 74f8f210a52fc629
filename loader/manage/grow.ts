/**
 * Grows a group: loads a larger instance, fills it, and puts it in the place of the one in force. No
 * decision is without a program meanwhile, and no count is lost.
 */
import { Lock } from "../bpf/directory_lock.ts";
import type { PinTree } from "../bpf/pin_tree.ts";
import { endpoint, type Listener } from "../core/listener.ts";
import { grownCapacity } from "../core/plan.ts";
import { ConflictError } from "../errors.ts";
import { Group } from "../group/group.ts";
import type { GroupRecord } from "../group/group_record.ts";
import { placeable } from "../hold/members.ts";
import { message } from "../log.ts";
import { allOrNothing } from "../rollback.ts";
import { attachProgram, refuseForeign } from "./attach.ts";

/** Pause after a failure, ms: each try takes as long as attaching a group. */
const RETRY_MS = 10_000;

/** What a group's manager does while it grows. */
export interface Growing {
  readonly members: readonly Listener[];
  /** Replace the program of another owner. */
  readonly replace: boolean;
  /** Puts the plan in force, and everything else that the group has, into its next instance. */
  fill(next: Group): void;
}

/** Grows one group when it needs that; after a failure, again later. */
export class Growth {
  readonly #pinTree: PinTree;
  readonly #group: Group;
  #failure: string | null = null;
  #dueMs = Number.NEGATIVE_INFINITY;

  constructor(pinTree: PinTree, group: Group) {
    this.#pinTree = pinTree;
    this.#group = group;
  }

  /** Why the group has not grown although it should; null: nothing failed. */
  get failure(): string | null {
    return this.#failure;
  }

  /** When to try again (ms, CLOCK_BOOTTIME); Infinity: nothing failed. */
  get dueMs(): number {
    return this.#failure === null ? Number.POSITIVE_INFINITY : this.#dueMs;
  }

  /**
   * Grows the group if it has more listeners than slots. An error is kept, as the group is managed
   * all the same.
   * @returns the lock on the directory of its pins, another one now; null: it has not grown
   * @requires the pin tree's lock
   */
  step(growing: Growing, nowMs: number): Lock | null {
    const group = this.#group;
    const { slots: before } = group.record;
    // Without the standby: a lock on the filters of every other listener is respected.
    const listeners = placeable(group, growing.members);
    const slots = grownCapacity(before, listeners.length);
    if (slots === before) this.#failure = null;
    if (slots === before || nowMs < this.#dueMs) return null;
    try {
      const larger = { ...group.record, slots, replacedProgram: group.programId };
      const lock = grow(this.#pinTree, group, larger, { ...growing, members: listeners });
      this.#failure = null;
      return lock;
    } catch (error) {
      this.#failure = message(error);
      this.#dueMs = nowMs + RETRY_MS;
      return null;
    }
  }
}

/**
 * A process that is killed meanwhile leaves the group as it was, or, for some microseconds, with the
 * next instance pinned and the one before attached: {@link Group.isAttachedTo}.
 */
function grow(pinTree: PinTree, group: Group, larger: GroupRecord, growing: Growing): Lock {
  const { name } = group;
  const { members, replace, fill } = growing;
  if (!replace) refuseForeign(members, (member) => group.isAttachedTo(member));
  const [next, lock] = allOrNothing((undo) => {
    const directory = pinTree.makeUnfinished(name);
    undo(() => pinTree.removeUnfinished(name));
    const nextLock = new Lock(directory, name);
    undo(() => nextLock[Symbol.dispose]());
    const nextGroup = Group.create(name, larger, directory);
    undo(() => nextGroup[Symbol.dispose]());
    const carryCounts = group.carryOver(nextGroup);
    fill(nextGroup);
    carryCounts();
    pinTree.exchange(name);
    undo(() => pinTree.exchange(name));
    if (!attachProgram(members, nextGroup.programFd)) {
      throw new ConflictError(`no process lends a listener of ${endpoint(larger.key)}`);
    }
    undo(() => attachProgram(members, group.programFd));
    // At once, so that no reader of the pins misses a count; then those of runs that were under way.
    carryCounts();
    group.moveEvents.settle();
    carryCounts();
    return [nextGroup, nextLock];
  });
  group.moveTo(next);
  pinTree.removeUnfinished(name);
  return lock;
}
