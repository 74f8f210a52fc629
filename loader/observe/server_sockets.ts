/** Sockets of some processes: a server's. Each iterator is loaded with its first read. */
import { BpfObject } from "../bpf/object.ts";
import { CONNECTIONS_PROGRAM } from "../core/abi.ts";
import type { Listener } from "../core/listener.ts";
import { Owned } from "../owned.ts";
import { Observer } from "./observer.ts";

export class ServerSockets implements Disposable {
  #observer: Observer | null = null;
  #connections: BpfObject | null = null;

  /** Returns the TCP listeners that the processes `pids` have now. */
  listeners(pids: readonly number[]): Listener[] {
    if (pids.length === 0) return [];
    this.#observer ??= new Observer();
    const { listeners } = this.#observer.snapshotProcesses(pids) ?? this.#observer.read();
    return listeners.filter(({ owners }) => owners.some(({ pid }) => pids.includes(pid)));
  }

  /**
   * Returns how many connections the processes `pids` have accepted and still hold open, whatever
   * their ports. A connection in an accept queue does not count: no process has a descriptor of it.
   * @requires Linux 6.1
   */
  accepted(pids: readonly number[]): number {
    this.#connections ??= load();
    const cookies = new Set<bigint>();
    for (const pid of pids) {
      for (const cookie of cookiesOf(this.#connections, pid)) cookies.add(cookie);
    }
    return cookies.size;
  }

  [Symbol.dispose](): void {
    this.#observer?.[Symbol.dispose]();
    this.#connections?.[Symbol.dispose]();
  }
}

function load(): BpfObject {
  using own = new Owned();
  const object = own.use(new BpfObject("connections"));
  object.load();
  return own.release(object);
}

/** Returns the cookies of a process's connections; none if it has ended. */
function cookiesOf(object: BpfObject, pid: number): bigint[] {
  using link = object.attachIterator(CONNECTIONS_PROGRAM, pid);
  const bytes = link.readIterator();
  const count = bytes.length / BigUint64Array.BYTES_PER_ELEMENT;
  return Array.from({ length: count }, (_, i) =>
    bytes.readBigUInt64LE(i * BigUint64Array.BYTES_PER_ELEMENT),
  );
}
