/** All groups under one sidecar's management, by name, with their services; one that fails does not stop the others. */

import type { PinTree } from "../bpf/pin_tree.ts";
import { countsRuns } from "../bpf/program.ts";
import type { GroupKey, Listener } from "../core/listener.ts";
import { type Journal, message } from "../log.ts";
import { detachGroupWithRetries } from "../manage/detach_group.ts";
import { ManagedGroup } from "../manage/managed_group.ts";
import { hasChanged, isDue } from "../manage/refresh_schedule.ts";
import type { Snapshot } from "../observe/snapshot.ts";
import { type GroupStatus, groupStatus } from "../operate/status.ts";
import { everyStep } from "../rollback.ts";
import type { Assigned, ServicesByPort } from "./assign.ts";
import { type Entry, nextOwner, type When, whyGivenUp } from "./belonging.ts";
import * as journal from "./journal.ts";
import type { Service } from "./service.ts";
import type { Wakeups } from "./wakeups.ts";

type Members = ReadonlyMap<string, readonly Listener[]>;

const NOBODY: readonly Listener[] = [];

/** Owns the groups. What changes them wants the state's lock. */
export class ManagedGroups implements Disposable {
  readonly #journal: Journal;
  readonly #entries = new Map<string, Entry>();
  /** Groups that a `detach` took from a service: not that one's again until it is another, or the sidecar. */
  readonly #detached = new Map<string, Service>();
  readonly #waking: Wakeups;

  constructor(journal: Journal, waking: Wakeups) {
    this.#journal = journal;
    this.#waking = waking;
  }

  get size(): number {
    return this.#entries.size;
  }

  has(name: string): boolean {
    return this.#entries.has(name);
  }

  /** A `detach` took this group from that service. */
  isDetached({ name, owner }: Assigned): boolean {
    return this.#detached.get(name) === owner;
  }

  /** When the first hold wants to be looked at again, CLOCK_BOOTTIME; null: not before something happens. */
  get holdDueMs(): number | null {
    let first: number | null = null;
    for (const { managed } of this.#entries.values()) {
      const due = managed.holdDueMs;
      if (due !== null && (first === null || due < first)) first = due;
    }
    return first;
  }

  /** Adopts or makes a group and attaches it. @throws as {@link ManagedGroup.takeOn} */
  takeOn(pinTree: PinTree, match: Assigned): void {
    const { name, owner, members } = match;
    const [managed, refreshed] = ManagedGroup.takeOn(pinTree, match, owner.manage);
    this.#entries.set(name, { managed, service: owner });
    this.#waking.of(managed, owner);
    journal.takenOn(this.#journal, managed, match);
    journal.refreshed(this.#journal, managed, members, refreshed);
  }

  /** Wakes destinations, or does not, as is known now. */
  wake(): void {
    for (const { managed, service } of this.#entries.values()) {
      if (service) this.#waking.of(managed, service);
    }
  }

  /**
   * Other services from now on: says whose each group is. In the next {@link refresh} it gets that
   * one's policy, or is given back when none covers it.
   */
  reassign(groups: Members, services: ServicesByPort): void {
    for (const [name, entry] of this.#entries) {
      const members = groups.get(name) ?? [];
      entry.service = nextOwner(entry, members, services);
      entry.managed.invalidate();
    }
  }

  /** All of them are to be looked after in the next pass: something changed behind us. */
  invalidate(): void {
    for (const { managed } of this.#entries.values()) managed.invalidate();
  }

  /** Names of those that are to be looked after now: first those in which somebody waits for it. */
  due(groups: Members, when: When): string[] {
    const changed: string[] = [];
    const others: string[] = [];
    const { queues, nowMs } = when;
    for (const [name, entry] of this.#entries) {
      const { last, options } = entry.managed;
      const members = groups.get(name) ?? NOBODY;
      const isDueNow = () =>
        options !== entry.service?.manage ||
        isDue(last, members, queues, nowMs) ||
        whyGivenUp(entry, members, when) !== null;
      if (hasChanged(last, members, queues)) changed.push(name);
      else if (isDueNow()) others.push(name);
    }
    return [...changed, ...others];
  }

  /** One step of one; gives it up when nothing has listened for long, or when its namespace is gone. */
  refresh(pinTree: PinTree, name: string, members: readonly Listener[], when: When): void {
    const entry = this.#entries.get(name);
    if (!entry) return;
    const { managed, service } = entry;
    if (service === null) {
      this.#journal.attempt(name, () => this.#leaveToKernel(pinTree, name, managed, members));
      return;
    }
    this.#apply(name, managed, service, members);
    this.#journal.attempt(name, () =>
      journal.refreshed(this.#journal, managed, members, managed.refresh(members, when.queues)),
    );
    const why = whyGivenUp(entry, members, when);
    if (why) this.#giveUp(pinTree, name, managed, why);
  }

  /** Namespaces of groups in which nothing listens. */
  emptyNetns(groups: Members): Set<number> {
    const empty = new Set<number>();
    for (const [name, { managed }] of this.#entries) {
      if (managed.isEmpty(groups.get(name) ?? NOBODY)) empty.add(managed.group.record.key.netns);
    }
    return empty;
  }

  /** Lets go of groups whose pins are gone: another command detached them. True: some were. */
  dropDetached(pinTree: PinTree): boolean {
    const gone = [...this.#entries].filter(([name]) => !pinTree.has(name));
    for (const [name, { managed, service }] of gone) {
      const text = `${managed.label} was detached by another command; leaving it alone`;
      this.#journal.say("detached_elsewhere", text, { group: name });
      if (service) this.#detached.set(name, service);
      this.#drop(name, managed);
    }
    return gone.length > 0;
  }

  /**
   * Gives back those that are `ours`.
   * @param read observes; asked again for a group whose owners were just going away
   * @throws the first error, when all were tried
   */
  detach(pinTree: PinTree, read: () => Members, ours: (managed: ManagedGroup) => boolean): void {
    const groups = read();
    this.#all((name, managed) => {
      if (!ours(managed)) return;
      detachGroupWithRetries(
        (members) => managed.detach(pinTree, members),
        groups.get(name) ?? [],
        () => read().get(name) ?? [],
      );
      this.#journal.say("detached", `detached from ${managed.label}`, { group: name });
    });
  }

  /** Leaves all of them in force. @throws the first error, when all were tried */
  leave(groups: Members): void {
    this.#all((name, managed) => managed.leave(groups.get(name) ?? []));
  }

  /** Reads again what is pinned of all of them. */
  invalidatePins(): void {
    for (const { managed } of this.#entries.values()) managed.group.invalidate();
  }

  /** Who is in each. */
  members(groups: Members): { key: GroupKey; listeners: readonly Listener[] }[] {
    return [...this.#entries].map(([name, { managed }]) => {
      return { key: managed.group.record.key, listeners: groups.get(name) ?? NOBODY };
    });
  }

  /** Status of each that can be read; in the end why the others cannot. */
  *status({ groups, queues }: Snapshot): Generator<GroupStatus, string[]> {
    const errors: string[] = [];
    const common = { queues, sidecar: process.pid, countsRuns: countsRuns() };
    for (const [name, entry] of [...this.#entries]) {
      if (this.#entries.get(name) !== entry) continue; // let go of between two steps
      try {
        const members = groups.get(name) ?? NOBODY;
        yield groupStatus(entry.managed.group, { members, ...common });
      } catch (error) {
        errors.push(`${name}: ${message(error)}`);
      }
    }
    return errors;
  }

  [Symbol.dispose](): void {
    for (const [name, { managed }] of this.#entries) this.#drop(name, managed);
  }

  /** Puts the policy of its service in force where another one is; a refusal is tried again next time. */
  #apply(
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
      this.#waking.of(managed, service);
      journal.policyChanged(this.#journal, managed);
    });
  }

  #leaveToKernel(
    pinTree: PinTree,
    name: string,
    managed: ManagedGroup,
    members: readonly Listener[],
  ): void {
    managed.detach(pinTree, members);
    this.#drop(name, managed);
    const text = `detached from ${managed.label}: no service covers it any more`;
    this.#journal.say("detached", text, { group: name });
  }

  /** Unpinned, so that containers which came and went leave nothing. */
  #giveUp(pinTree: PinTree, name: string, managed: ManagedGroup, why: string): void {
    managed.detach(pinTree, []);
    this.#drop(name, managed);
    this.#journal.say("given_up", `${managed.label}: ${why}; unpinned`, { group: name });
  }

  #all(step: (name: string, managed: ManagedGroup) => void): void {
    everyStep([...this.#entries].map(([name, { managed }]) => step.bind(null, name, managed)));
  }

  #drop(name: string, managed: ManagedGroup): void {
    this.#entries.delete(name);
    managed[Symbol.dispose]();
  }
}
