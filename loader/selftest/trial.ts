/**
 * A group in the lab under our program, observed, planned, filled and attached by the
 * code that does it for servers. Only the pins are left out, so that nothing can stay.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { type Migrate, STAGES } from "../core/abi.ts";
import { isMember, type Listener } from "../core/listener.ts";
import { capacityFor } from "../core/plan.ts";
import { Group } from "../group/group.ts";
import { applyGroup } from "../manage/apply.ts";
import { attachProgram } from "../manage/attach.ts";
import { OptionSchedule } from "../manage/option_schedule.ts";
import type { Observer } from "../observe/observer.ts";
import { boottimeMs } from "../sys/libc.ts";
import type { Lab } from "./lab.ts";
import type { Opened } from "./lab_protocol.ts";

/** How often, and how long at most, a fact is waited for. */
const POLL_MS = 20;
const PATIENCE_MS = 5_000;

export interface TrialOptions {
  /** The listeners' handshakes end with the client's data: TCP_DEFER_ACCEPT. */
  readonly defer?: boolean;
  /** Policy of the group; `off` is how the test of the test loses connections. */
  readonly migrate?: Migrate;
}

export class Trial implements Disposable {
  readonly lab: Lab;
  readonly port: number;
  /** The listener that leaves, by its fd in the lab. */
  readonly old: number;
  readonly #observer: Observer;
  readonly #defer: boolean;
  readonly #readings = new OptionSchedule();
  readonly #group: Group;

  private constructor(
    lab: Lab,
    observer: Observer,
    { fd, port }: Opened,
    { defer = false, migrate = "newest" }: TrialOptions,
  ) {
    this.lab = lab;
    this.#observer = observer;
    this.#defer = defer;
    this.old = fd;
    this.port = port;
    const members = this.members();
    const [first] = members;
    if (!first) throw new Error("the self-test's listener was not observed");
    const { key, uid } = first;
    const record = { abiVersion: 0, key, uid, migrate, hold: null, attachments: 0, service: "" };
    this.#group = Group.load("self-test", {
      ...record,
      route: "kernel",
      settings: "prefer",
      slots: capacityFor(2),
    });
    try {
      this.apply();
      if (!attachProgram(members, this.#group.programFd)) {
        throw new Error("the self-test's listener could not be borrowed");
      }
    } catch (error) {
      this.#group[Symbol.dispose]();
      throw error;
    }
  }

  /** A group of one listener, attached. */
  static async start(lab: Lab, observer: Observer, options: TrialOptions = {}): Promise<Trial> {
    const opened = await lab.call("open", { port: 0, defer: options.defer === true });
    return new Trial(lab, observer, opened, options);
  }

  /** The group's listeners now. */
  members(): Listener[] {
    return this.#observer
      .read()
      .filter((it) => isMember(it) && it.key.netns === this.lab.netns && it.key.port === this.port);
  }

  /** One pass: what listens is a target. */
  apply(): void {
    applyGroup(this.#group, this.members(), this.#readings, true, boottimeMs());
  }

  /** Opens another listener; it is no target before {@link apply}. */
  open(): Promise<Opened> {
    return this.lab.call("open", { port: this.port, defer: this.#defer });
  }

  /** Connections in the accept queues. */
  queued(): number {
    return this.members().reduce((sum, { queueLength }) => sum + queueLength, 0);
  }

  /** Decisions of the migrating stages: `{"accept_queue selected": 10}`. */
  decisions(): Readonly<Record<string, number>> {
    const made = this.#group.counts().decisions();
    return Object.fromEntries(
      made
        .filter(({ stage }) => stage !== STAGES[0])
        .map(({ stage, outcome, reason, count }) => [
          [stage, outcome, ...(reason ? [reason] : [])].join(" "),
          Number(count),
        ]),
    );
  }

  [Symbol.dispose](): void {
    this.#group[Symbol.dispose]();
  }
}

/** Waits for a fact; false when it does not come. */
export async function becomes(
  fact: () => boolean | Promise<boolean>,
  patienceMs = PATIENCE_MS,
): Promise<boolean> {
  const deadline = Date.now() + patienceMs;
  for (;;) {
    if (await fact()) return true;
    if (Date.now() > deadline) return false;
    await sleep(POLL_MS);
  }
}
