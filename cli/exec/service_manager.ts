/**
 * What exec tells the service manager (sd_notify(3)), which takes exec for the server: when it is
 * ready, reloads and stops, and that it is alive.
 */

/** Least time between two pings, ms: each reads a status. */
const MIN_PING_MS = 25;

export class ServiceManager implements Disposable {
  readonly #notify: (state: string) => void;
  readonly #listens: () => Promise<boolean>;
  readonly #pings: NodeJS.Timeout | undefined;
  #isAlive = false;

  /**
   * @param watchdogMs time between two pings of its watchdog; null: it has none
   * @param listens whether the server listens and has accepted; pings are sent only while it does
   */
  constructor(
    notify: (state: string) => void,
    watchdogMs: number | null,
    listens: () => Promise<boolean>,
  ) {
    this.#notify = notify;
    this.#listens = listens;
    if (watchdogMs === null) return;
    this.#pings = setInterval(() => void this.#ping(), Math.max(watchdogMs, MIN_PING_MS));
  }

  ready(): void {
    this.#notify("READY=1");
  }

  /** A restart was requested; {@link ready} says that it is over. */
  reloading(): void {
    this.#notify(`RELOADING=1\nMONOTONIC_USEC=${process.hrtime.bigint() / 1_000n}`);
  }

  stopping(): void {
    this.#notify("STOPPING=1");
  }

  async #ping(): Promise<void> {
    try {
      this.#isAlive = await this.#listens();
    } catch {
      // The server is not to blame; the sidecar logs the error.
    }
    if (this.#isAlive) this.#notify("WATCHDOG=1");
  }

  [Symbol.dispose](): void {
    clearInterval(this.#pings);
  }
}
