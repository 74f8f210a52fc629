/**
 * Kills the sidecar again and again during outages: at any moment, just after a server was stopped
 * or started, and while its successor takes over. SOAK_SEED repeats the choices, not the timing.
 */
import { EventEmitter, once } from "node:events";
import { setTimeout as sleep } from "node:timers/promises";
import type { SidecarProcess } from "../helpers/product/sidecar.ts";
import { Random } from "../helpers/random.ts";

/** The moments of an outage: a server was told to stop, or its process was started. */
export type Moment = "stop" | "start";

export const SEED = Number(process.env["SOAK_SEED"] ?? Math.floor(Math.random() * 2 ** 32));

/** What is left of a hold's begin or end by so long after its moment, ms. */
const NEAR_MS = 250;
/** From the start of a sidecar to READY it takes about this, ms. */
const START_MS = 600;
/** Longest time of a sidecar that is not killed at a certain moment, ms. */
const ANY_MS = 2_500;
/** Longest time without a sidecar, ms. */
const PAUSE_MS = 300;

export class Killer extends EventEmitter<Record<Moment, []>> {
  /** Number of kills so far, by what they waited for. */
  readonly kills = { any: 0, stop: 0, start: 0, successor: 0 };
  readonly #sidecar: SidecarProcess;
  readonly #random: Random;
  readonly #ending = new AbortController();
  readonly #ended: Promise<void>;

  /** @param index tells apart the killers of one seed */
  constructor(sidecar: SidecarProcess, index: number) {
    super();
    this.setMaxListeners(0);
    this.#sidecar = sidecar;
    this.#random = new Random(SEED, index);
    this.#ended = this.#run();
    this.#ended.catch(() => {}); // end() throws it
  }

  /** Kills no more; returns once the sidecar runs. */
  async end(): Promise<void> {
    this.#ending.abort();
    await this.#ended;
  }

  async #run(): Promise<void> {
    while (await this.#moment()) {
      await this.#sidecar.kill();
      while (this.#random.oneIn(3)) {
        await sleep(this.#random.below(PAUSE_MS));
        this.#sidecar.spawn();
        await sleep(this.#random.below(START_MS));
        await this.#sidecar.kill();
        this.kills.successor++;
      }
      await sleep(this.#random.below(PAUSE_MS));
      await this.#sidecar.start();
    }
  }

  /** Waits for the moment of the next kill. Returns false if there is to be none. */
  async #moment(): Promise<boolean> {
    const { signal } = this.#ending;
    const kind = this.#random.pick(["any", "stop", "start"] as const);
    try {
      if (kind !== "any") await once(this, kind, { signal });
      await sleep(this.#random.below(kind === "any" ? ANY_MS : NEAR_MS), null, { signal });
    } catch {
      return false;
    }
    this.kills[kind]++;
    return true;
  }
}
