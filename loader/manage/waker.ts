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
import { acceptQueue } from "../net/accept_queue.ts";
import { borrow } from "../net/borrow.ts";
import { connectTo, openSocket } from "../net/connect.ts";
import * as libc from "../sys/libc.ts";
import { RingBuffer } from "../sys/ring_buffer.ts";

/** Debounce (ms) from the first event of a burst: a close() migrates connections one by one. */
const DEBOUNCE_MS = 5;
/** Timeout and poll interval (ms) of a connection to the same host. */
const CONNECT_MS = 20;
const POLL_MS = 1;

/** Wakes the listeners of one group. */
export class Waker implements Disposable {
  readonly #group: Group;
  readonly #targets: () => readonly Listener[];
  readonly #map: BpfMap;
  readonly #ring: RingBuffer;
  readonly #failed: (error: unknown) => void;
  #timer: NodeJS.Timeout | undefined;
  #closed = false;

  /**
   * @param targets returns the listeners that connections can migrate to now
   * @param failed called with errors of the timer
   */
  constructor(group: Group, targets: () => readonly Listener[], failed: (error: unknown) => void) {
    this.#group = group;
    this.#targets = targets;
    this.#failed = failed;
    this.#map = group.moveEvents.listen();
    try {
      this.#ring = new RingBuffer(this.#map.fd, () => this.#schedule());
    } catch (error) {
      this.#map[Symbol.dispose]();
      throw error;
    }
    this.#schedule(); // for events from before
  }

  [Symbol.dispose](): void {
    this.#closed = true;
    clearTimeout(this.#timer);
    this.#ring[Symbol.dispose]();
    this.#group.moveEvents.leave();
    this.#map[Symbol.dispose]();
  }

  #schedule(): void {
    if (this.#timer !== undefined) return;
    this.#timer = setTimeout(() => {
      this.#wakeAll()
        .catch(this.#failed)
        .finally(() => {
          this.#timer = undefined;
        });
    }, DEBOUNCE_MS);
  }

  async #wakeAll(): Promise<void> {
    if (!this.#group.moveEvents.take()) return;
    let woken = 0;
    for (const listener of this.#targets()) {
      if (!borrow(listener, (fd) => acceptQueue(fd).length)) continue;
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
    if (known === undefined) {
      borrow(listener, (fd) => group.setListener(group.candidateSlot, fd));
    }
    const fd = openSocket(key);
    try {
      group.steer({ port: libc.localPort(fd), slot: known ?? group.candidateSlot });
      connectTo(fd, key);
      for (let waited = 0; waited < CONNECT_MS; waited += POLL_MS) {
        if (libc.tcpState(fd) === libc.TCP_ESTABLISHED) return true;
        await sleep(POLL_MS);
        if (this.#closed) return false;
      }
      return false;
    } finally {
      libc.close(fd);
      if (!this.#closed) group.steer(NO_PROBE);
    }
  }
}
