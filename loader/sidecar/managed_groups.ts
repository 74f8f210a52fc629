/** Every group that a sidecar manages, by name. A failure of one does not stop another. */

import type { PinTree } from "../bpf/pin_tree.ts";
import type { Listener } from "../core/listener.ts";
import type { Journal } from "../log.ts";
import { detachGroupWithRetries } from "../manage/detach_group.ts";
import { ManagedGroup } from "../manage/managed_group.ts";
import { hasChanged, isDue } from "../manage/refresh_schedule.ts";
import { everyStep } from "../rollback.ts";
import { boottimeMs } from "../sys/libc.ts";
import * as journal from "./journal.ts";
import {
  type ManagedEntry,
  nextOwner,
  type OwnedMatch,
  type PassConditions,
  reasonToGiveUp,
  type ServicesByPort,
} from "./ownership.ts";
import type { Service } from "./service.ts";
import type { Wakeups } from "./wakeups.ts";

type Members = ReadonlyMap<string, readonly Listener[]>;

const NONE: readonly Listener[] = [];

/** Owns the groups. Methods that change one require the pin tree's lock. */
export class ManagedGroups implements Disposable {
  readonly #pinTree: PinTree;
  readonly #journal: Journal;
  readonly #wakeups: Wakeups;
  readonly #entries = new Map<string, ManagedEntry>();
  /** Groups that `detach` took from a service: that service does not take them on again. */
  readonly #detached = new Map<string, Service>();

  constructor(pinTree: PinTree, journal: Journal, wakeups: Wakeups) {
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

  get(name: string): ManagedGroup | undefined {
    return this.#entries.get(name)?.managed;
  }

  /** Names of every group. */
  get names(): string[] {
    return [...this.#entries.keys()];
  }

  /** Returns whether `detach` took this group from this service. */
  isDetached({ name, owner }: OwnedMatch): boolean {
    return this.#detached.get(name) === owner;
  }

  /** Returns when the first hold is due (ms, CLOCK_BOOTTIME), or null if none is under way. */
  get holdDueMs(): number | null {
    let first: number | null = null;
    const nowMs = boottimeMs();
    for (const { managed } of this.#entries.values()) {
      const due = managed.holdDueMs(nowMs);
      if (due !== null && (first === null || due < first)) first = due;
    }
    return first;
  }

  /** Takes over or makes a group, and attaches it. @throws as {@link ManagedGroup.takeOn} */
  takeOn(match: OwnedMatch): void {
    const { name, owner, members } = match;
    const [managed, refreshed] = ManagedGroup.takeOn(this.#pinTree, match, owner.manage);
    this.#entries.set(name, { managed, service: owner });
    this.#wakeups.apply(managed, owner);
    journal.takenOn(this.#journal, managed, match);
    journal.refreshed(this.#journal, managed, members, refreshed);
  }

  /** Starts or stops waking the destinations of every group, after {@link Wakeups.probe}. */
  applyWakeups(): void {
    for (const { managed, service } of this.#entries.values()) {
      if (service) this.#wakeups.apply(managed, service);
    }
  }

  /**
   * Finds the owner of each group after the services were replaced. The next {@link refresh} puts
   * the owner's policy in force, or detaches a group without an owner.
   */
  reassign(groups: Members, services: ServicesByPort): void {
    for (const [name, entry] of this.#entries) {
      const members = groups.get(name) ?? NONE;
      entry.service = nextOwner(entry, members, services);
      entry.managed.invalidate();
    }
  }

  /** Makes every group due: another process may have changed its pins. */
  invalidate(): void {
    for (const { managed } of this.#entries.values()) managed.invalidate();
  }

  /** Returns the names of the groups to refresh; first those whose listeners changed. */
  due(groups: Members, conditions: PassConditions): string[] {
    const changed: string[] = [];
    const unchanged: string[] = [];
    const { nowMs, queues } = conditions;
    for (const [name, entry] of this.#entries) {
      const { last, options } = entry.managed;
      const members = groups.get(name) ?? NONE;
      const isDueNow = () =>
        options !== entry.service?.manage ||
        isDue(last, members, queues, nowMs) ||
        reasonToGiveUp(entry, members, conditions) !== null;
      if (hasChanged(last, members, queues)) changed.push(name);
      else if (isDueNow()) unchanged.push(name);
    }
    return [...changed, ...unchanged];
  }

  /** Brings one group in line with its members; or gives it up ({@link reasonToGiveUp}). */
  refresh(name: string, members: readonly Listener[], conditions: PassConditions): void {
    const entry = this.#entries.get(name);
    if (!entry) return;
    const { managed, service } = entry;
    if (service === null) {
      this.#journal.attempt(name, () => this.#leaveToKernel(name, managed, members));
      return;
    }
    this.#applyPolicy(name, managed, service, members);
    this.#journal.attempt(name, () =>
      journal.refreshed(
        this.#journal,
        managed,
        members,
        managed.refresh(members, conditions.queues),
      ),
    );
    const reason = reasonToGiveUp(entry, members, conditions);
    if (reason !== null) this.#giveUp(name, managed, reason);
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
    const gone = [...this.#entries].filter(([name]) => !this.#pinTree.has(name));
    for (const [name, { managed, service }] of gone) {
      const text = `${managed.label} was detached by another command; leaving it alone`;
      this.#journal.say("detached_elsewhere", text, { group: name });
      if (service) this.#detached.set(name, service);
      this.#drop(name, managed);
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
          (members) => managed.detach(this.#pinTree, members),
          groups.get(name) ?? NONE,
          async () => (await read()).get(name) ?? NONE,
        );
        this.#journal.say("detached", `detached from ${managed.label}`, { group: name });
      }),
    );
  }

  /**
   * Leaves every group attached and pinned.
   * @throws the first error, after every group was tried
   */
  async leave(groups: Members): Promise<void> {
    await everyStep(
      [...this.#entries].map(([name, { managed }]) => {
        return () => managed.leave(groups.get(name) ?? NONE);
      }),
    );
  }

  /** Drops the cached content of every group's pins. */
  invalidatePins(): void {
    for (const { managed } of this.#entries.values()) managed.group.invalidate();
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
    const { key } = managed.group.record;
    const label = service.nameFor(members) ?? service.nameAt(key) ?? managed.group.record.service;
    this.#journal.attempt(`${name} policy`, () => {
      managed.change(label, service.manage, members);
      this.#wakeups.apply(managed, service);
      journal.policyChanged(this.#journal, managed);
    });
  }

  #leaveToKernel(name: string, managed: ManagedGroup, members: readonly Listener[]): void {
    managed.detach(this.#pinTree, members);
    this.#drop(name, managed);
    const text = `detached from ${managed.label}: no service covers it any longer`;
    this.#journal.say("detached", text, { group: name });
  }

  /** Removes the pins too, so that containers leave nothing behind. */
  #giveUp(name: string, managed: ManagedGroup, reason: string): void {
    managed.detach(this.#pinTree, []);
    this.#drop(name, managed);
    this.#journal.say("given_up", `${managed.label}: ${reason}; unpinned`, { group: name });
  }

  #drop(name: string, managed: ManagedGroup): void {
    this.#entries.delete(name);
    managed[Symbol.dispose]();
  }
}
