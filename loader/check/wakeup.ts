/**
 * Whether this kernel wakes a destination that sleeps when connections migrate to it from an
 * accept queue. With CVE-2026-46015 it does not, and they wait for that listener's next one.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { Observer } from "../observe.ts";
import { WAITS, type Wait } from "../sys/wait.ts";
import { WAKEUP_DEFECT } from "./defects.ts";
import { Lab } from "./lab.ts";
import { type Finding, no, ok, unknown } from "./probe.ts";
import { becomes, Trial } from "./trial.ts";

/** A destination that sleeps for so long beside its full queue was not woken. */
const SLEEP_MS = 500;

export type Wakeup = "woken" | "asleep" | "unknown";

/**
 * Does it, for every way to wait; about half a second on a kernel with the defect. Wants
 * the rights of `attach`. Never rejects: what cannot be told is `unknown`.
 */
export async function probeWakeup(): Promise<Wakeup> {
  try {
    using lab = await Lab.start();
    using observer = new Observer();
    const found = await Promise.all(WAITS.map((how) => wakes(lab, observer, how)));
    if (found.includes("asleep")) return "asleep";
    return found.every((it) => it === "woken") ? "woken" : "unknown";
  } catch {
    return "unknown";
  }
}

/** The probe of one way to wait. */
export async function probeWait(lab: Lab, observer: Observer, how: Wait): Promise<Finding> {
  const { name, fixedIn } = WAKEUP_DEFECT;
  switch (await wakes(lab, observer, how)) {
    case "woken":
      return ok("woken by what migrates to it");
    case "asleep":
      return no(
        `not woken by what migrates to it: this kernel has ${name}`,
        `boot a kernel with the fix (${fixedIn.join(", ")}); until then an idle destination serves what migrated with its next connection, with tcp_migrate_req too`,
      );
    case "unknown":
      return unknown("it could not be seen asleep, or nothing came");
  }
}

async function wakes(lab: Lab, observer: Observer, how: Wait): Promise<Wakeup> {
  using trial = await Trial.start(lab, observer);
  await lab.call("connect", { port: trial.port, count: 1 });
  if (!(await becomes(() => trial.queued() === 1))) return "unknown";
  const fd = await trial.open();
  await lab.call("wait", { fd, how });
  const state = () => lab.call("sleep", { fd });
  if (!(await becomes(async () => (await state()) === "asleep"))) return "unknown";
  trial.apply();

  await lab.call("close", { fd: trial.old });
  if (await becomes(async () => (await state()) === "woken", SLEEP_MS)) return "woken";
  // Slow is not asleep: only a thread that still sleeps while its connection waits was not woken.
  const arrived = trial.queued() === 1;
  await sleep(SLEEP_MS);
  const now = await state();
  if (now === "asleep") return arrived ? "asleep" : "unknown";
  return (await becomes(async () => (await state()) === "woken")) ? "woken" : "unknown";
}
