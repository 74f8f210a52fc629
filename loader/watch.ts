/** When to look: on bind events at once and shortly after, and once in a while whatever was told. */
import { findCgroup2 } from "./cgroup.ts";
import { NotSupportedError } from "./errors.ts";
import { BindEvents } from "./events.ts";

/** How often everything is looked at, whatever was or was not told. */
export const RECONCILE_MS = 1_000;
/** After a bind the listener appears moments later: when to look again, ms after the event. */
const AFTER_BIND_MS = [0, 2, 10, 50, 200] as const;

/** Calls `look` until it is disposed. */
export class Watch implements Disposable {
  readonly #timers = new Set<NodeJS.Timeout>();
  readonly #look: () => void;
  #soon = false;
  #events: BindEvents | null = null;

  constructor(look: () => void) {
    this.#look = look;
    this.#timers.add(setInterval(look, RECONCILE_MS));
  }

  /**
   * Looks at binds to `ports` too, and to no others. Without, {@link RECONCILE_MS} is how late a new
   * listener is seen.
   * @throws NotSupportedError without cgroup v2, SysError when the kernel refuses
   */
  listen(ports: Iterable<number>): void {
    if (this.#events !== null) {
      this.#events.setPorts(ports);
      return;
    }
    const cgroup = findCgroup2();
    if (cgroup === null) throw new NotSupportedError("cgroup v2", "no cgroup v2 is mounted");
    this.#events = new BindEvents(cgroup, ports, () => {
      for (const delay of AFTER_BIND_MS) this.#after(delay, this.#look);
    });
  }

  /** Looks once more, in `delayMs`; what was asked for before by this is not asked twice. */
  soon(delayMs: number): void {
    if (this.#soon) return;
    this.#soon = true;
    this.#after(delayMs, () => {
      this.#soon = false;
      this.#look();
    });
  }

  #after(delayMs: number, look: () => void): void {
    const timer = setTimeout(() => {
      this.#timers.delete(timer);
      look();
    }, delayMs);
    this.#timers.add(timer);
  }

  [Symbol.dispose](): void {
    for (const timer of this.#timers) clearTimeout(timer);
    this.#timers.clear();
    this.#events?.[Symbol.dispose]();
    this.#events = null;
  }
}
