/**
 * Processes that hung: they are left alone for a while, each time twice as long, and so is a user
 * with several of them. Pure.
 */
import type { Owner } from "../core/listener.ts";

/** Time (ms) for which a process is left alone the first time, and at most. */
const FIRST_MS = 1_000;
const LONGEST_MS = 300_000;
/** As many processes of one tenant that are left alone now: all of its processes are. */
const OF_TENANT = 2;

/** Whose a process is: its real uid, or `userns` if it is in a user namespace of its own. */
export type ProcessTenant = number | "userns";

interface Entry {
  readonly owner: Owner;
  readonly tenant: ProcessTenant;
  readonly delayMs: number;
  readonly untilMs: number;
  /** The call still hangs. */
  readonly isStuck: () => boolean;
}

const isActive = ({ untilMs, isStuck }: Entry, nowMs: number) => nowMs < untilMs || isStuck();

const nameOf = ({ pid, startMs }: Owner): string => `${pid} ${startMs}`;

export class Quarantine {
  readonly #entries = new Map<string, Entry>();

  /**
   * Returns whether a process is left alone now.
   * @param tenantOf called only while another process is left alone
   */
  has(owner: Owner, nowMs: number, tenantOf: () => ProcessTenant): boolean {
    if (this.#entries.size === 0) return false;
    const entry = this.#entries.get(nameOf(owner));
    if (entry && isActive(entry, nowMs)) return true;
    const now = this.now(nowMs);
    if (now.length < OF_TENANT) return false;
    const tenant = tenantOf();
    // Root's processes are the host's own.
    return tenant !== 0 && now.filter((each) => each.tenant === tenant).length >= OF_TENANT;
  }

  /**
   * A process hung: it is left alone from now on.
   * @param isStuck whether the call still hangs: another one would hang too
   */
  add(owner: Owner, tenant: ProcessTenant, nowMs: number, isStuck = () => false): void {
    // A user's next process counts as the last one did, or a user with many would cost much time.
    const before = [...this.#entries.values()].filter(
      (entry) => nameOf(entry.owner) === nameOf(owner) || (tenant !== 0 && entry.tenant === tenant),
    );
    const delaysMs = before.map(({ delayMs }) => 2 * delayMs);
    const delayMs = Math.min(Math.max(FIRST_MS, ...delaysMs), LONGEST_MS);
    for (const [name, entry] of this.#entries) {
      if (!isActive(entry, nowMs - LONGEST_MS)) this.#entries.delete(name);
    }
    this.#entries.set(nameOf(owner), { owner, tenant, delayMs, untilMs: nowMs + delayMs, isStuck });
  }

  /** A process has answered. */
  settle(owner: Owner): void {
    if (this.#entries.size > 0) this.#entries.delete(nameOf(owner));
  }

  /** Returns the processes that are left alone now. */
  now(nowMs: number): readonly Pick<Entry, "owner" | "tenant">[] {
    return [...this.#entries.values()].filter((entry) => isActive(entry, nowMs));
  }
}
