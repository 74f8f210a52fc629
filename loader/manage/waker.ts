/**
 * Wakes the destinations of migrations on kernels that do not (CVE-2026-46015). There a migration
 * out of an accept queue leaves epoll_wait, poll or accept asleep until the listener's next
 * connection. The waker makes that connection: steered to exactly that listener, and closed again.
 */
import { setTimeout as sleep } from "node:timers/promises";
import type { BpfMap } from "../bpf/map.ts";
import type { Listener } from "../core/listener.ts";
import type { Group } from "../group/group.ts";
import { NO_PROBE } from "../group/plan_codec.ts";
import { SteeredConnection } from "../group/steered_connection.ts";
import { placeListener } from "../hold/members.ts";
import { queueLengthOf } from "../net/foreign_listener.ts";
import { Owned } from "../owned.ts";
import { RingBuffer } from "../sys/ring_buffer.ts";

/** Debounce (ms) from the first event of a burst: a close() migrates connections one by one. */
const DEBOUNCE_MS = 5;
/** Timeout and poll interval (ms) of a connection to the same host. */
const CONNECT_MS = 20;
const POLL_MS = 1;
/** Until destinations are woken that could not be, ms: no free file descriptor, for example. */
const RETRY_MS = 500;

/** Wakes the listeners of one group. */
export class Waker implements Disposable {
  readonly #group: Group;
  readonly #targets: () => readonly Listener[];
  readonly #map: BpfMap;
  readonly #own: Disposable;
  readonly #failed: (error: unknown) => void;
  #timer: NodeJS.Timeout | undefined;
  /** There was an event since the timer fired. */
  #isDue = false;
  /** The last attempt failed: some destinations may still sleep. */
  #hasFailed = false;
  #closed = false;

  /**
   * @param targets returns the listeners that connections can migrate to now
   * @param failed called with the error of an attempt; another one follows
   */
  constructor(group: Group, targets: () => readonly Listener[], failed: (error: unknown) => void) {
    this.#group = group;
    this.#targets = targets;
    this.#failed = failed;
    using own = new Owned();
    this.#map = own.use(group.moveEvents.listen());
    own.defer(() => group.moveEvents.leave());
    own.use(new RingBuffer(this.#map.fd, () => this.#schedule()));
    this.#own = own.move();
    this.#schedule(); // for events from before
  }

  [Symbol.dispose](): void {
    this.#closed = true;
    clearTimeout(this.#timer);
    this.#own[Symbol.dispose]();
  }

  /** Continues with an instance that is going to replace the one in force, which may have an event. */
  enter(next: Group): void {
    next.moveEvents.use(this.#map);
    this.#schedule();
  }

  #schedule(delayMs = DEBOUNCE_MS): void {
    this.#isDue = true;
    if (this.#timer !== undefined || this.#closed) return;
    this.#timer = setTimeout(() => void this.#attempt(), delayMs);
  }

  async #attempt(): Promise<void> {
    this.#isDue = false;
    try {
      await this.#wakeAll();
      this.#hasFailed = false;
    } catch (error) {
      this.#hasFailed = true;
      this.#failed(error);
    }
    this.#timer = undefined;
    if (this.#hasFailed) this.#schedule(RETRY_MS);
    else if (this.#isDue) this.#schedule();
  }

  async #wakeAll(): Promise<void> {
    if (!this.#group.moveEvents.take() && !this.#hasFailed) return;
    let woken = 0;
    for (const listener of this.#targets()) {
      if (!queueLengthOf(listener)) continue;
      if (this.#closed) return;
      if (await this.#wake(listener)) woken++;
    }
    if (woken > 0 && !this.#closed) this.#group.moveEvents.addWakeups(woken);
  }

  /** Returns true if the connection has arrived in the listener's accept queue. */
  async #wake(listener: Listener): Promise<boolean> {
    const group = this.#group;
    const { cookie, key } = listener;
    const known = group.slots().find(({ slot }) => slot.cookie === cookie)?.slot.slot;
    if (known === undefined) placeListener(group, group.candidateSlot, listener);
    using connection = new SteeredConnection(group, known ?? group.candidateSlot, key);
    try {
      for (let waited = 0; waited < CONNECT_MS; waited += POLL_MS) {
        if (connection.advance() !== "pending") return true;
        await sleep(POLL_MS);
        if (this.#closed) return false;
      }
      return false;
    } finally {
      if (!this.#closed) group.steer(NO_PROBE);
    }
  }
}
