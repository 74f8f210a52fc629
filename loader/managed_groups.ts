/** All groups under one sidecar's management, by name; one that fails does not stop the others. */
import { ConflictError } from "./errors.ts";
import type { Match } from "./filter.ts";
import type { Listener } from "./listener.ts";
import { type Journal, message } from "./log.ts";
import { ManagedGroup, type ManageOptions } from "./managed.ts";
import type { State } from "./state.ts";
import { type GroupStatus, groupStatus } from "./status.ts";

/** How often, and how long apart, a group is given back whose owners are going away. */
const GIVE_BACK_TRIES = 20;
const GIVE_BACK_MS = 10;

type Members = ReadonlyMap<string, readonly Listener[]>;

/** Owns the groups. What changes them wants the state's lock. */
export class ManagedGroups implements Disposable {
  readonly #options: ManageOptions;
  readonly #journal: Journal;
  readonly #managed = new Map<string, ManagedGroup>();
  /** Groups that a `detach` took from us: not ours again until the sidecar is restarted. */
  readonly #detached = new Set<string>();

  #wake: ((managed: ManagedGroup) => void) | null = null;

  constructor(options: ManageOptions, journal: Journal) {
    this.#options = options;
    this.#journal = journal;
  }

  get size(): number {
    return this.#managed.size;
  }

  /** When the first of them wants to be looked at again, ms; null: none before something happens. */
  get dueMs(): number | null {
    const due = [...this.#managed.values()].flatMap(({ dueMs }) => dueMs ?? []);
    return due.length > 0 ? Math.min(...due) : null;
  }

  /** Adopts or makes a group and attaches it. @throws as {@link ManagedGroup.takeOn} */
  takeOn(state: State, match: Match): void {
    const [managed, refreshed] = ManagedGroup.takeOn(state, match, this.#options);
    this.#managed.set(match.name, managed);
    this.#wake?.(managed);
    this.#journal.takenOn(managed, match);
    this.#journal.refreshed(managed, match.members, refreshed);
  }

  /** Wakes the destinations in all of them, those that come included. */
  wake(observe: () => Members): void {
    this.#wake = (managed) => {
      const about = `wake ${managed.group.name}`;
      managed.wake(observe, (error) => this.#journal.warn(about, message(error)));
    };
    for (const managed of this.#managed.values()) this.#wake(managed);
  }

  /** Takes on those that are not ours yet; a refusal is said, and tried again next time. */
  takeOnNew(state: State, matches: readonly Match[]): void {
    for (const match of matches) {
      if (this.#managed.has(match.name) || this.#detached.has(match.name)) continue;
      this.#journal.attempt(match.name, () => this.takeOn(state, match));
    }
  }

  /** One step of each; gives up those in which nothing has listened for `idleMs`. */
  refresh(state: State, groups: Members, idleMs: number): void {
    for (const [name, managed] of this.#managed) {
      const members = groups.get(name) ?? [];
      this.#journal.attempt(name, () =>
        this.#journal.refreshed(managed, members, managed.refresh(members)),
      );
      if (managed.idleMs > idleMs) this.#giveUp(state, name, managed);
    }
  }

  /** Lets go of groups whose pins are gone: another command detached them. True: some were. */
  dropDetached(state: State): boolean {
    const gone = [...this.#managed].filter(([name]) => !state.has(name));
    for (const [name, managed] of gone) {
      const text = `${managed.label} was detached by another command; leaving it alone`;
      this.#journal.say("released", text, { group: name });
      this.#detached.add(name);
      this.#drop(name, managed);
    }
    return gone.length > 0;
  }

  /**
   * Gives back those that are `ours`.
   * @param read observes; asked again for a group whose owners were just going away
   * @throws the first error, when all were tried
   */
  giveBack(state: State, read: () => Members, ours: (managed: ManagedGroup) => boolean): void {
    const groups = read();
    this.#all((name, managed) => {
      if (!ours(managed)) return;
      giveBackPatiently(state, managed, groups.get(name) ?? [], () => read().get(name) ?? []);
      this.#journal.say("detached", `detached from ${managed.label}`, { group: name });
    });
  }

  /** Leaves all of them in force. @throws the first error, when all were tried */
  leave(groups: Members): void {
    this.#all((name, managed) => managed.leave(groups.get(name) ?? []));
  }

  /** Status of each that can be read, and why the others cannot. */
  status(groups: Members): { groups: GroupStatus[]; errors: string[] } {
    const found: GroupStatus[] = [];
    const errors: string[] = [];
    for (const [name, { group }] of this.#managed) {
      try {
        found.push(groupStatus(group, groups.get(name) ?? [], process.pid));
      } catch (error) {
        errors.push(`${name}: ${message(error)}`);
      }
    }
    return { groups: found, errors };
  }

  [Symbol.dispose](): void {
    for (const [name, managed] of this.#managed) this.#drop(name, managed);
  }

  /** Unpinned, so that containers which came and went leave nothing. */
  #giveUp(state: State, name: string, managed: ManagedGroup): void {
    managed.giveBack(state, []);
    this.#drop(name, managed);
    const text = `${managed.label}: nothing has listened for long; unpinned`;
    this.#journal.say("given_up", text, { group: name });
  }

  #drop(name: string, managed: ManagedGroup): void {
    this.#managed.delete(name);
    managed[Symbol.dispose]();
  }

  #all(step: (name: string, managed: ManagedGroup) => void): void {
    const errors: unknown[] = [];
    for (const [name, managed] of this.#managed) {
      try {
        step(name, managed);
      } catch (error) {
        errors.push(error);
      }
    }
    if (errors.length > 0) throw errors[0];
  }
}

/** A dying process shows its listeners for a moment, and lends none of them. */
function giveBackPatiently(
  state: State,
  managed: ManagedGroup,
  members: readonly Listener[],
  readAgain: () => readonly Listener[],
): void {
  let now = members;
  for (let tries = 1; ; tries++) {
    try {
      managed.giveBack(state, now);
      return;
    } catch (error) {
      if (!(error instanceof ConflictError) || tries === GIVE_BACK_TRIES) throw error;
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, GIVE_BACK_MS);
      now = readAgain();
    }
  }
}
