/**
 * A group in the lab under our program, observed, planned, applied and attached by the same code as
 * the groups of servers. It is not pinned, so that nothing of it can stay.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { type Migrate, STAGES } from "../core/abi.ts";
import { isMember, type Listener } from "../core/listener.ts";
import { capacityFor } from "../core/plan.ts";
import { Group } from "../group/group.ts";
import { NOT_LOADED } from "../group/group_record.ts";
import { applyGroup } from "../manage/apply.ts";
import { attachProgram } from "../manage/attach.ts";
import { OptionSchedule } from "../manage/option_schedule.ts";
import type { Observer } from "../observe/observer.ts";
import { Owned } from "../owned.ts";
import type { Lab } from "./lab.ts";
import type { Opened } from "./lab_protocol.ts";

/** Poll interval and timeout, ms. */
const POLL_MS = 20;
const TIMEOUT_MS = 5_000;

export interface TrialOptions {
  /** Set TCP_DEFER_ACCEPT on the listeners: their handshakes end with the client's data. */
  readonly defer?: boolean;
  /** Policy of the group; `off` loses connections, which tests the self-test. */
  readonly migrate?: Migrate;
}

export class Trial implements Disposable {
  readonly lab: Lab;
  readonly port: number;
  /** Fd (in the lab) of the listener that closes. */
  readonly old: number;
  readonly #observer: Observer;
  readonly #defer: boolean;
  readonly #schedule = new OptionSchedule();
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
    if (!first) throw new Error("self-test: its listener is in no snapshot");
    const { key, uid } = first;
    const record = { ...NOT_LOADED, key, uid, migrate, hold: null, service: "" };
    const rest = { route: "kernel", settings: "prefer", slots: capacityFor(2) } as const;
    using own = new Owned();
    this.#group = own.use(Group.load("self-test", { ...record, ...rest }));
    this.apply();
    if (!attachProgram(members, this.#group.programFd)) {
      throw new Error("self-test: no process lends its listener");
    }
    own.release(this);
  }

  /** Makes a group of one listener, and attaches. */
  static async start(lab: Lab, observer: Observer, options: TrialOptions = {}): Promise<Trial> {
    const opened = await lab.call("open", { port: 0, defer: options.defer === true });
    return new Trial(lab, observer, opened, options);
  }

  /** Returns the group's listeners now. */
  members({ listeners } = this.#observer.read()): Listener[] {
    const isOurs = ({ key }: Listener) => key.netns === this.lab.netns && key.port === this.port;
    return listeners.filter((each) => isMember(each) && isOurs(each));
  }

  /** Makes every listener of the group a target. */
  apply(): void {
    applyGroup(this.#group, this.members(), { schedule: this.#schedule, watched: true });
  }

  /** Opens another listener; it becomes a target with {@link apply}. */
  open(): Promise<Opened> {
    return this.lab.call("open", { port: this.port, defer: this.#defer });
  }

  /** Returns the connections in the accept queues, or in that of one listener. */
  queued(cookie?: bigint): number {
    const snapshot = this.#observer.read();
    const members = this.members(snapshot).filter(
      (each) => each.cookie === (cookie ?? each.cookie),
    );
    return members.reduce((sum, each) => sum + (snapshot.queues.get(each.cookie)?.length ?? 0), 0);
  }

  /** Returns the decisions at the migrating stages: `{"accept_queue selected": 10}`. */
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

/** Polls until `fact` is true; returns false after the timeout. */
export async function becomes(
  fact: () => boolean | Promise<boolean>,
  timeoutMs = TIMEOUT_MS,
): Promise<boolean> {
  const deadline = Date.now() + timeoutMs;
  for (;;) {
    if (await fact()) return true;
    if (Date.now() > deadline) return false;
    await sleep(POLL_MS);
  }
}
