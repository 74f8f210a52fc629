/**
 * Wakes destinations on kernels that do not (CVE-2026-46015): there an accept-queue migration leaves
 * a sleeping epoll_wait, poll or accept asleep until the listener's next connection. That next one is
 * ours: steered to exactly that listener, and closed again.
 */
import { setTimeout as sleep } from "node:timers/promises";
import type { BpfMap } from "../bpf/map.ts";
import type { Listener } from "../core/listener.ts";
import type { Group } from "../group/group.ts";
import { NO_PROBE } from "../group/plan_codec.ts";
import { borrow } from "../net/borrow.ts";
import { connectTo, openSocket } from "../net/connect.ts";
import * as libc from "../sys/libc.ts";
import { RingBuffer } from "../sys/ring_buffer.ts";

/** After the first event of a burst: a close() moves connections one by one. */
const COALESCE_MS = 5;
/** How long a connection to the same host may take, and how often it is looked at. */
const CONNECT_MS = 20;
const LOOK_MS = 1;

/** Looks after one group. */
export class Waker implements Disposable {
  readonly #group: Group;
  readonly #observe: () => Promise<readonly Listener[]>;
  readonly #map: BpfMap;
  readonly #ring: RingBuffer;
  readonly #failed: (error: unknown) => void;
  #timer: NodeJS.Timeout | undefined;
  #closed = false;

  /**
   * @param observe the group's listeners now, the standby left out
   * @param failed told of what goes wrong while nobody waits for it
   */
  constructor(
    group: Group,
    observe: () => Promise<readonly Listener[]>,
    failed: (error: unknown) => void,
  ) {
    this.#group = group;
    this.#observe = observe;
    this.#failed = failed;
    this.#map = group.moveEvents.listen();
    try {
      this.#ring = new RingBuffer(this.#map.fd, () => this.#soon());
    } catch (error) {
      this.#map[Symbol.dispose]();
      throw error;
    }
    this.#soon(); // what was told before us
  }

  [Symbol.dispose](): void {
    this.#closed = true;
    clearTimeout(this.#timer);
    this.#ring[Symbol.dispose]();
    this.#group.moveEvents.leave();
    this.#map[Symbol.dispose]();
  }

  #soon(): void {
    if (this.#timer !== undefined) return;
    this.#timer = setTimeout(() => {
      this.#wakeAll()
        .catch(this.#failed)
        .finally(() => {
          this.#timer = undefined;
        });
    }, COALESCE_MS);
  }

  async #wakeAll(): Promise<void> {
    if (!this.#group.moveEvents.take()) return;
    let woken = 0;
    const waiting = (await this.#observe()).filter(({ queueLength }) => queueLength > 0);
    for (const listener of waiting) {
      if (this.#closed) return;
      if (await this.#wake(listener)) woken++;
    }
    if (woken > 0 && !this.#closed) this.#group.moveEvents.addWakeups(woken);
  }

  /** True when the connection has arrived in the listener's accept queue. */
  async #wake({ cookie, key, owners, ...rest }: Listener): Promise<boolean> {
    const group = this.#group;
    const known = group.slots().find(({ slot }) => slot.cookie === cookie)?.slot.slot;
    if (known === undefined) {
      const listener = { cookie, key, owners, ...rest };
      borrow(listener, (fd) => group.setListener(group.candidateSlot, fd));
    }
    const fd = openSocket(key);
    try {
      group.steer({ port: libc.localPort(fd), slot: known ?? group.candidateSlot });
      connectTo(fd, key);
      for (let waited = 0; waited < CONNECT_MS; waited += LOOK_MS) {
        if (libc.tcpState(fd) === libc.TCP_ESTABLISHED) return true;
        await sleep(LOOK_MS);
        if (this.#closed) return false;
      }
      return false;
    } finally {
      libc.close(fd);
      if (!this.#closed) group.steer(NO_PROBE);
    }
  }
}
