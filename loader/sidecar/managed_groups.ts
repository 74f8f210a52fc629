/** Every group that a sidecar manages, by name. A failure of one does not stop another. */
import type { PinTree } from "../bpf/pin_tree.ts";
import { BackOff } from "../core/back_off.ts";
import type { GroupLimits } from "../core/group_budget.ts";
import type { Listener } from "../core/listener.ts";
import type { Journal } from "../log.ts";
import { detachGroupWithRetries } from "../manage/detach_group.ts";
import type { ManagedGroup } from "../manage/managed_group.ts";
import { takeOnGroup } from "../manage/take_on.ts";
import { everyStep } from "../rollback.ts";
import {
  type ManagedEntry,
  nextOwner,
  type OwnedMatch,
  type PassConditions,
  reasonToGiveUp,
  type ServicesByPort,
  servingInstead,
} from "../service/ownership.ts";
import type { Service } from "../service/service.ts";
import { boottimeMs } from "../sys/libc.ts";
import { Admission } from "./admission.ts";
import { dueGroups, REFRESH_TIMES } from "./due_groups.ts";
import * as journal from "./journal.ts";
import type { Wakeups } from "./wakeups.ts";

type Given = "detached" | "given_up";
type Members = ReadonlyMap<string, readonly Listener[]>;

const NONE: readonly Listener[] = [];

/** Owns the groups. Methods that change one require the pin tree's lock. */
export class ManagedGroups implements Disposable {
  readonly #pinTree: PinTree;
  readonly #journal: Journal;
  readonly #wakeups: Wakeups;
  readonly #entries = new Map<string, ManagedEntry>();
  readonly #failures = new BackOff(REFRESH_TIMES);
  readonly admission: Admission;
  /** Groups that `detach` took from a service: that service does not take them on again. */
  readonly #detached = new Map<string, Service>();

  constructor(pinTree: PinTree, journal: Journal, wakeups: Wakeups, limits: GroupLimits) {
    this.admission = new Admission(limits, journal);
    this.#pinTree = pinTree;
    this.#journal = journal;
    this.#wakeups = wakeups;
  }

  get size(): number {
    return this.#entries.size;
  }

  has(name: string): boolean {
    return this.#entries.has(name);
  }

  get all(): ManagedGroup[] {
    return [...this.#entries.values()].map(({ managed }) => managed);
  }

  isDetached({ name, owner }: OwnedMatch): boolean {
    return this.#detached.get(name) === owner;
  }

  /** Returns when the first hold is due (ms, CLOCK_BOOTTIME), or null if none is under way. */
  get holdDueMs(): number | null {
    const nowMs = boottimeMs();
    const due = this.all.flatMap(({ hold }) => hold.dueMs(nowMs) ?? []);
    return due.length > 0 ? Math.min(...due) : null;
  }

  /** Returns the unmanaged groups to take on now: not those refused lately, nor detached ones. */
  select(matches: readonly OwnedMatch[]): OwnedMatch[] {
    return this.admission.select(matches.filter((match) => !this.isDetached(match)));
  }

  /** Takes over or makes a group, and attaches it. Returns the error of a refusal, or null. */
  takeOn(match: OwnedMatch): unknown {
    return this.admission.admit(match, () => {
      const { name, owner, members } = match;
      const [managed, refreshed] = takeOnGroup(this.#pinTree, match, owner.manage);
      this.#entries.set(name, { managed, service: owner });
      this.#wakeups.apply(managed, owner);
      journal.takenOn(this.#journal, managed, match);
      journal.refreshed(this.#journal, managed, members, refreshed);
      const { record } = managed.group;
      return { uid: record.uid, netns: record.key.netns };
    });
  }

  applyWakeups(): void {
    for (const { managed, service } of this.#entries.values()) {
      if (service) this.#wakeups.apply(managed, service);
    }
  }

  /**
   * Finds the owner of each group after the services were replaced. The next {@link refresh} puts
   * the owner's policy in force, or detaches a group without an owner. Changes nothing if it throws.
   */
  reassign(groups: Members, services: ServicesByPort): void {
    const owners = [...this.#entries].map(([name, entry]) => {
      return [entry, nextOwner(entry, groups.get(name) ?? NONE, services)] as const;
    });
    for (const [entry, owner] of owners) entry.service = owner;
    this.invalidate();
  }

  /** Makes every group due: another process may have changed its pins, or what refused it. */
  invalidate(): void {
    this.admission.refusals.makeDue();
    for (const managed of this.all) managed.invalidate();
  }

  /** Closes every standby: nothing shows any longer whether a server listens. */
  failOpen(): void {
    for (const managed of this.all) {
      managed.hold.close("the host cannot be read");
      journal.holdChanged(this.#journal, managed);
    }
  }

  /** Returns the names of the groups to refresh; first those whose listeners changed. */
  due(groups: Members, conditions: PassConditions): string[] {
    return dueGroups(this.#entries, groups, conditions, this.#failures);
  }

  /** Brings one group in line with its members; or gives it up ({@link reasonToGiveUp}). */
  refresh(name: string, members: readonly Listener[], conditions: PassConditions): void {
    const entry = this.#entries.get(name);
    if (!entry) return;
    const { managed, service } = entry;
    if (service === null) {
      const why = "no service covers it any longer";
      this.#giveUp(managed, members, "detached", `detached from ${managed.label}: ${why}`);
      return;
    }
    this.#applyPolicy(name, managed, service, members);
    this.#wakeups.apply(managed, service);
    const isDone = this.#journal.attempt(name, () => {
      const instead = servingInstead(managed, conditions);
      const refreshed = managed.refresh(members, conditions.queues, instead);
      journal.refreshed(this.#journal, managed, members, refreshed);
    });
    if (isDone) this.#failures.settle(name);
    else this.#failures.fail(name, members, conditions.nowMs);
    const reason = reasonToGiveUp(entry, members, conditions);
    const text = `${managed.label}: ${reason}; unpinned`;
    if (reason !== null) this.#giveUp(managed, [], "given_up", text);
  }

  /** Returns the network namespaces of groups in which nothing listens. */
  emptyNetns(groups: Members): Set<number> {
    const empty = new Set<number>();
    for (const [name, { managed }] of this.#entries) {
      if (managed.isEmpty(groups.get(name) ?? NONE)) empty.add(managed.group.record.key.netns);
    }
    return empty;
  }

  /** Drops groups whose pins another command removed. Returns whether there were any. */
  dropDetached(): boolean {
    const pinned = new Set(this.#pinTree.groups());
    const gone = [...this.#entries].filter(([name]) => !pinned.has(name));
    for (const [name, { managed, service }] of gone) {
      if (service) this.#detached.set(name, service);
      this.#drop(name, managed);
      journal.detachedElsewhere(this.#journal, managed, this.#entries.size);
    }
    return gone.length > 0;
  }

  /**
   * Detaches groups and removes their pins.
   * @param read returns the members now; called again for a group whose owners are exiting
   * @throws the first error, after every group was tried
   */
  async detach(
    read: () => Promise<Members>,
    isIncluded: (managed: ManagedGroup) => boolean,
  ): Promise<void> {
    const groups = await read();
    const entries = [...this.#entries].filter(([, { managed }]) => isIncluded(managed));
    await everyStep(
      entries.map(([name, { managed }]) => async () => {
        await detachGroupWithRetries(
          (members) => managed.detach(members),
          groups.get(name) ?? NONE,
          async () => (await read()).get(name) ?? NONE,
        );
        this.#journal.say("detached", `detached from ${managed.label}`, { group: name });
      }),
    );
  }

  /** Leaves every group attached and pinned. @throws as {@link detach} */
  async leave(groups: Members): Promise<void> {
    const leave = ([name, { managed }]: [string, ManagedEntry]) =>
      managed.leave(groups.get(name) ?? NONE);
    await everyStep([...this.#entries].map((entry) => () => leave(entry)));
    journal.left(this.#journal, this.#entries.size);
  }

  invalidatePins(): void {
    for (const { group } of this.all) group.invalidate();
  }

  [Symbol.dispose](): void {
    for (const [name, { managed }] of this.#entries) this.#drop(name, managed);
  }

  /** Puts the service's policy in force if it differs; the next refresh retries. */
  #applyPolicy(
    name: string,
    managed: ManagedGroup,
    service: Service,
    members: readonly Listener[],
  ): void {
    if (managed.options === service.manage) return;
    const { key, service: before } = managed.group.record;
    this.#journal.attempt(`${name} policy`, () => {
      const label = service.nameFor(members) ?? service.nameAt(key) ?? before;
      managed.change(label, service.manage, members);
      journal.policyChanged(this.#journal, managed);
    });
  }

  /** Detaches, and removes the pins too, so that containers leave nothing; retried if it fails. */
  #giveUp(managed: ManagedGroup, members: readonly Listener[], event: Given, text: string): void {
    const { name } = managed.group;
    if (!this.#journal.attempt(`${name} end`, () => managed.detach(members))) return;
    this.#drop(name, managed);
    this.#journal.say(event, text, { group: name });
  }

  #drop(name: string, managed: ManagedGroup): void {
    this.#entries.delete(name);
    this.admission.release(name);
    this.#failures.settle(name);
    this.#journal.forget(name);
    managed[Symbol.dispose]();
    journal.holdChanged(this.#journal, managed);
  }
}
