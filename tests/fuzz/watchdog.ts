/** Ends a test process in which one input takes for ever, and names that input. */
import { Worker } from "node:worker_threads";

/** Far more than any input takes, also on a loaded machine, ms. */
const HANG_MS = 60_000;

/** A thread, because the event loop of a process that hangs runs no timer. */
const WATCH = `
const { workerData: { shared, name, seed, limit } } = require("node:worker_threads");
const at = new Int32Array(shared);
let last = -1, since = Date.now();
setInterval(() => {
  const now = Atomics.load(at, 0);
  if (now !== last) { last = now; since = Date.now(); }
  if (Date.now() - since < limit) return;
  require("node:fs").writeSync(2, name + ": FUZZ_SEED=" + seed + " FUZZ_INDEX=" + now + " hangs\\n");
  process.kill(process.pid, "SIGKILL");
}, limit / 10);
`;

export class Watchdog implements Disposable {
  readonly #index = new Int32Array(new SharedArrayBuffer(4));
  readonly #worker: Worker;

  constructor(name: string, seed: number) {
    const workerData = { shared: this.#index.buffer, name, seed, limit: HANG_MS };
    this.#worker = new Worker(WATCH, { eval: true, workerData });
    this.#worker.unref();
  }

  begin(index: number): void {
    Atomics.store(this.#index, 0, index);
  }

  [Symbol.dispose](): void {
    void this.#worker.terminate();
  }
}
