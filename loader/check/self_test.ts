/** The self-test as probes: all trials run at once in one lab, and each probe awaits its own. */
import { MIGRATING_STAGES } from "../core/abi.ts";
import type { Observer } from "../observe/observer.ts";
import { Lab } from "../selftest/lab.ts";
import type { MigratingStage, MigrationTrial } from "../selftest/migration.ts";
import type { Wakeup } from "../selftest/wakeup.ts";
import { WAITS } from "../sys/blocking_wait.ts";
import { borrowFromLab } from "./borrowing.ts";
import { WAKEUP_DEFECT } from "./defects.ts";
import { type Finding, type HostProbe, type HostProbeName, no, ok, unknown } from "./probe.ts";

const STAGES = MIGRATING_STAGES as readonly MigratingStage[];
const NETNS = "netns";
export const BORROW = "pidfd_getfd";

export class SelfTest implements Disposable {
  #lab: Lab | null = null;
  #observer: Observer | null = null;
  #findings: Promise<ReadonlyMap<string, Promise<Finding>>> | null = null;

  /** Returns the probes that start the lab and borrow from its process. */
  labProbes(): HostProbe[] {
    return [
      {
        name: NETNS,
        use: "for the self-test",
        required: false,
        run: async () => {
          this.#lab = await Lab.start();
          return ok(`a new one (${this.#lab.netns})`);
        },
      },
      {
        name: BORROW,
        use: "to borrow listeners of other processes",
        required: true,
        needs: ["CAP_SYS_PTRACE", NETNS],
        run: () => borrowFromLab(this.#started()),
      },
    ];
  }

  /** Returns the probes that migrate connections and wake a server, after the probes `needs`. */
  testProbes(needs: readonly HostProbeName[]): HostProbe[] {
    const test = (name: HostProbeName, use: string, required: boolean): HostProbe => ({
      name,
      use,
      required,
      needs: [...needs, NETNS],
      run: () => this.#find(name),
    });
    return [
      ...STAGES.map((stage) => test(`migrates ${stage}`, "to lose no connection", true)),
      ...WAITS.map((how) => test(`wakes ${how}`, "to be served by an idle listener", false)),
    ];
  }

  #started(): Lab {
    if (this.#lab === null) throw new Error("the self-test has no network namespace");
    return this.#lab;
  }

  /** Returns the finding of one trial; the first call starts all of them. */
  async #find(name: HostProbeName): Promise<Finding> {
    this.#findings ??= this.#startTrials();
    const finding = await (await this.#findings).get(name);
    if (finding === undefined) throw new Error(`the self-test has no probe '${name}'`);
    return finding;
  }

  async #startTrials(): Promise<ReadonlyMap<string, Promise<Finding>>> {
    const lab = this.#started();
    const { Observer } = await import("../observe/observer.ts");
    const { tryMigration } = await import("../selftest/migration.ts");
    const { wake } = await import("../selftest/wakeup.ts");
    this.#observer = new Observer();
    const observer = this.#observer;
    const findings = new Map<string, Promise<Finding>>();
    // The slowest stage starts first: the handshake timer takes a second.
    for (const stage of STAGES.toReversed()) {
      findings.set(`migrates ${stage}`, tryMigration(lab, observer, stage).then(migrationFinding));
    }
    const wakeups = wake(lab, observer);
    for (const how of WAITS) {
      const finding = wakeups.then((found) => wakeupFinding(found.get(how) ?? "unknown"));
      findings.set(`wakes ${how}`, finding);
    }
    for (const finding of findings.values()) finding.catch(() => {}); // reported by its probe
    return findings;
  }

  [Symbol.dispose](): void {
    this.#lab?.[Symbol.dispose]();
    this.#observer?.[Symbol.dispose]();
  }
}

/** Returns the finding of a migration trial; null means that it did not reach its stage. */
export function migrationFinding(trial: MigrationTrial | null): Finding {
  if (trial === null) return unknown("the connections did not reach this stage in time");
  const { connections: count, served, lost, decisions } = trial;
  if (served < count) {
    const text = `${count - served} of ${count} connections lost: ${lost.join(", ")}`;
    return trial.timedOut ? unknown(text) : no(text);
  }
  if (trial.exact) return ok(`${count} of ${count} connections migrated, with their data`);
  const made = Object.entries(decisions).map(([decision, number]) => `${decision} ${number}`);
  return unknown(`all ${count} were served, but counted as ${made.join(", ") || "nothing"}`);
}

function wakeupFinding(wakeup: Wakeup): Finding {
  const { name, fixedIn } = WAKEUP_DEFECT;
  switch (wakeup) {
    case "woken":
      return ok("a migrated connection wakes the server");
    case "asleep":
      return no(
        `no migrated connection wakes the server: this kernel has ${name}`,
        `boot one with the fix (${fixedIn.join(", ")}); tcp_migrate_req has this defect, too`,
      );
    case "unknown":
      return unknown("the server was not seen asleep, or no connection migrated");
  }
}
