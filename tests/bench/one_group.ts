/** Listeners of one group, in a process that does nothing else. */
import type { Listener as Observed } from "../../loader/core/listener.ts";
import { netnsInode } from "../../loader/index.ts";
import { Observer } from "../../loader/observe/observer.ts";
import { type Listener, ListenerProcess } from "../helpers/servers/listener.ts";

export const ADDRESS = "127.0.0.1";
export const NETNS = netnsInode("/proc/self/ns/net");

/** Owns the process of the listeners. */
export class OneGroup implements AsyncDisposable {
  readonly port: number;
  readonly listeners: readonly Listener[];
  readonly #process: ListenerProcess;

  private constructor(port: number, listeners: readonly Listener[], process: ListenerProcess) {
    this.port = port;
    this.listeners = listeners;
    this.#process = process;
  }

  static async open(port: number, count: number, backlog = 1024): Promise<OneGroup> {
    const process = await ListenerProcess.start();
    const options = { address: ADDRESS, port, backlog };
    const listeners = await Promise.all(Array.from({ length: count }, () => process.open(options)));
    return new OneGroup(port, listeners, process);
  }

  /** Adds `count` listeners in another process; disposing the result ends that process only. */
  async join(count: number): Promise<OneGroup> {
    const others = await OneGroup.open(this.port, count);
    return new OneGroup(this.port, [...this.listeners, ...others.listeners], others.#process);
  }

  async close(): Promise<void> {
    for (const listener of this.listeners) await listener.close();
  }

  /**
   * Reads its listeners from the kernel, in the order in which they were opened, without a standby.
   */
  observed(): Observed[] {
    using observer = new Observer();
    const byCookie = new Map(observer.read().listeners.map((each) => [String(each.cookie), each]));
    return this.listeners.flatMap(({ cookie }) => byCookie.get(cookie) ?? []);
  }

  /** Connections in the accept queue of the first listener. */
  queued(): number {
    using observer = new Observer();
    return observer.read().queues.get(BigInt(this.listeners[0]?.cookie ?? 0))?.length ?? 0;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#process.kill();
  }
}
