/** The self-test as probes: one lab, everything at once, and each probe waits for its own. */
import type { Observer } from "../observe/observer.ts";
import { Lab } from "../selftest/lab.ts";
import type { MigratingStage, MigrationTrial } from "../selftest/migration.ts";
import type { Wakeup } from "../selftest/wakeup.ts";
import { WAITS } from "../sys/blocking_wait.ts";
import { mayBorrow } from "./borrowing.ts";
import { WAKEUP_DEFECT } from "./defects.ts";
import { type Finding, no, ok, type Probe, unknown } from "./probe.ts";

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
    const { Observer } = await import("../observe/observer.ts");
    const { tryMigration } = await import("../selftest/migration.ts");
    const { wake } = await import("../selftest/wakeup.ts");
    const observer = new Observer();
    this.#observer = observer;
    const findings = new Map<string, Promise<Finding>>();
    // The timer takes a second, and loading a program much of the rest: the slowest begins.
    for (const stage of STAGES.toReversed()) {
      findings.set(`migrates ${stage}`, tryMigration(lab, observer, stage).then(migrationFinding));
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

/** Puts the fate of a trial's connections in words. */
export function migrationFinding(seen: MigrationTrial | null): Finding {
  if (seen === null) return unknown("the connections did not get there in time");
  const { connections: count, served, lost, decisions } = seen;
  if (served < count) {
    const text = `${count - served} of ${count} connections lost: ${lost.join(", ")}`;
    return seen.timedOut ? unknown(text) : no(text);
  }
  if (seen.exact) return ok(`${count} of ${count} connections migrated, with their data`);
  const made = Object.entries(decisions).map(([decision, number]) => `${decision} ${number}`);
  return unknown(`all ${count} were served, but counted as ${made.join(", ") || "nothing"}`);
}

/** What a wake-up, or its absence, means. */
function wakeupFinding(wakeup: Wakeup): Finding {
  const { name, fixedIn } = WAKEUP_DEFECT;
  switch (wakeup) {
    case "woken":
      return ok("woken by what migrates to it");
    case "asleep":
      return no(
        `not woken by what migrates to it: this kernel has ${name}`,
        `boot a kernel with the fix (${fixedIn.join(", ")}); the kernel's own migration (tcp_migrate_req) has it too`,
      );
    case "unknown":
      return unknown("it could not be seen asleep, or nothing came");
  }
}
