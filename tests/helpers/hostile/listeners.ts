/** Listeners of an attacker on a port that the sidecar covers, by listeners.py. */
import { Attacker } from "./attacker.ts";

export type HostileKind = "plain" | "locked" | "filter" | "mptcp";

/** Processes with many listeners each; they end when it is disposed. */
export class HostileListeners implements AsyncDisposable {
  readonly #attacker: Attacker;

  private constructor(attacker: Attacker) {
    this.#attacker = attacker;
  }

  /**
   * Listens on `count` addresses; returns once it does.
   * @param under a command that starts the attacker, by default as nobody
   * @param first number of the first address
   */
  static async start(
    kind: HostileKind,
    port: number,
    count: number,
    under?: readonly string[],
    first = 256,
  ): Promise<HostileListeners> {
    const args = [kind, port, count, first].map(String);
    return new HostileListeners(await Attacker.start("listeners.py", args, under));
  }

  get pid(): number {
    return this.#attacker.pid;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#attacker[Symbol.asyncDispose]();
  }
}
