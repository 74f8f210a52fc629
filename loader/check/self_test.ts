/** The self-test as probes: one lab, everything at once, and each probe waits for its own. */
import type { Observer } from "../observe.ts";
import { WAITS } from "../sys/wait.ts";
import { mayBorrow } from "./borrowing.ts";
import { Lab } from "./lab.ts";
import type { MigratingStage } from "./migration.ts";
import { type Finding, ok, type Probe } from "./probe.ts";

const STAGES: readonly MigratingStage[] = ["accept_queue", "handshake_ack", "handshake_timer"];
const NETNS = "netns";
export const BORROW = "pidfd_getfd";

export class SelfTest implements Disposable {
  #lab: Lab | null = null;
  #observer: Observer | null = null;
  #findings: Promise<ReadonlyMap<string, Promise<Finding>>> | null = null;

  /** Makes the network namespace all of it happens in, and in it probes what wants another process. */
  labProbes(): Probe[] {
    return [
      {
        name: NETNS,
        use: "for the self-test",
        required: false,
        run: async () => {
          this.#lab = await Lab.start();
          return ok(`one of our own (${this.#lab.netns})`);
        },
      },
      {
        name: BORROW,
        use: "to borrow listeners of other processes",
        required: true,
        needs: ["CAP_SYS_PTRACE", NETNS],
        run: () => mayBorrow(this.#started()),
      },
    ];
  }

  /** @param needs probes that must be ok before */
  testProbes(needs: readonly string[]): Probe[] {
    const test = (name: string, use: string, required: boolean): Probe => ({
      name,
      use,
      required,
      needs: [...needs, NETNS],
      run: () => this.#find(name),
    });
    return [
      ...STAGES.map((stage) => test(`migrates ${stage}`, "that nothing is lost", true)),
      ...WAITS.map((how) => test(`wakes ${how}`, "that an idle destination serves at once", false)),
    ];
  }

  #started(): Lab {
    if (this.#lab === null) throw new Error("the self-test has no network namespace");
    return this.#lab;
  }

  /** The first to ask starts all of them. */
  async #find(name: string): Promise<Finding> {
    this.#findings ??= this.#begin();
    const finding = await (await this.#findings).get(name);
    if (finding === undefined) throw new Error(`there is no probe '${name}'`);
    return finding;
  }

  async #begin(): Promise<ReadonlyMap<string, Promise<Finding>>> {
    const lab = this.#started();
    const { Observer } = await import("../observe.ts");
    const { probeMigration } = await import("./migration.ts");
    const { wake, wakeupFinding } = await import("./wakeup.ts");
    const observer = new Observer();
    this.#observer = observer;
    const findings = new Map<string, Promise<Finding>>();
    // The timer takes a second, and loading a program much of the rest: the slowest begins.
    for (const stage of STAGES.toReversed()) {
      findings.set(`migrates ${stage}`, probeMigration(lab, observer, stage));
    }
    const wakeups = wake(lab, observer);
    for (const how of WAITS) {
      const finding = wakeups.then((found) => wakeupFinding(found.get(how) ?? "unknown"));
      findings.set(`wakes ${how}`, finding);
    }
    for (const finding of findings.values()) finding.catch(() => {}); // its own probe says so
    return findings;
  }

  [Symbol.dispose](): void {
    this.#lab?.[Symbol.dispose]();
    this.#observer?.[Symbol.dispose]();
  }
}
