/**
 * Tests whether this kernel wakes a destination that sleeps when connections migrate to it from an
 * accept queue. With CVE-2026-46015 it does not: they wait for that listener's next connection.
 */
import { fork } from "node:child_process";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { Observer } from "../observe/observer.ts";
import { requireFreeFds } from "../owned.ts";
import { WAITS, type Wait } from "../sys/blocking_wait.ts";
import { FORK_FDS, Lab } from "./lab.ts";
import type { Sleep } from "./lab_protocol.ts";
import { becomes, Trial } from "./trial.ts";

const MAIN = fileURLToPath(new URL("./wakeup_main.js", import.meta.url));

/** Time (ms) after which a destination that still sleeps beside its full queue was not woken. */
const SLEEP_MS = 500;
/** Connections, spread by hash: enough to reach every destination. */
const COUNT = 60;

export type Wakeup = "woken" | "asleep" | "unknown";

/**
 * Tests every way to wait; takes about a second on a kernel with the defect. Never rejects: a test
 * that fails is `unknown`.
 * @requires the capabilities of `attach`
 */
export async function probeWakeup(): Promise<Wakeup> {
  try {
    using lab = await Lab.start({ orHere: true });
    using observer = new Observer();
    const found = [...(await wake(lab, observer)).values()];
    if (found.includes("asleep")) return "asleep";
    return found.every((it) => it === "woken") ? "woken" : "unknown";
  } catch {
    return "unknown";
  }
}

/**
 * As {@link probeWakeup}, in a child process: it loads programs, and the verifier would block the
 * event loop.
 * @throws EMFILE
 */
export function probeWakeupApart(): Promise<Wakeup> {
  requireFreeFds(FORK_FDS);
  const child = fork(MAIN, { stdio: ["ignore", "ignore", "ignore", "ipc"] });
  child.unref();
  child.channel?.unref();
  return new Promise((resolve) => {
    child.once("message", (found: Wakeup) => resolve(found));
    child.once("error", () => resolve("unknown"));
    child.once("exit", () => resolve("unknown"));
  });
}

/** A destination with a thread that sleeps. */
interface Sleeper {
  readonly how: Wait;
  readonly fd: number;
  readonly cookie: bigint;
}

/** Closes a listener with a full queue, while a destination sleeps in each way to wait. */
export async function wake(lab: Lab, observer: Observer): Promise<ReadonlyMap<Wait, Wakeup>> {
  using trial = await Trial.start(lab, observer);
  await lab.call("connect", { port: trial.port, count: COUNT });
  const ready = await becomes(() => trial.queued() === COUNT);
  const sleepers: Sleeper[] = [];
  for (const how of ready ? WAITS : []) {
    const { fd, cookie } = await trial.open();
    await lab.call("wait", { fd, how });
    const asleep = () => stateOf(lab, fd, "asleep");
    if (await becomes(asleep)) sleepers.push({ how, fd, cookie });
  }
  trial.apply();
  await lab.call("close", { fd: trial.old });
  const found = new Map<Wait, Wakeup>(WAITS.map((how) => [how, "unknown"]));
  const judge = async (sleeper: Sleeper) => found.set(sleeper.how, await verdictOn(trial, sleeper));
  await Promise.all(sleepers.map(judge));
  return found;
}

/**
 * A slow thread is not asleep: only one that sleeps while its queue has connections was not woken.
 */
async function verdictOn(trial: Trial, { fd, cookie }: Sleeper): Promise<Wakeup> {
  const { lab } = trial;
  const woken = () => stateOf(lab, fd, "woken");
  if (await becomes(woken, SLEEP_MS)) return "woken";
  const arrived = trial.queued(cookie) > 0;
  await sleep(SLEEP_MS);
  if (await stateOf(lab, fd, "asleep")) return arrived ? "asleep" : "unknown";
  return (await becomes(woken)) ? "woken" : "unknown";
}

async function stateOf(lab: Lab, fd: number, state: Sleep): Promise<boolean> {
  return (await lab.call("sleep", { fd })) === state;
}
