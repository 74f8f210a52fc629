/**
 * The self-test of a stage: closes a listener with real connections, which the other one must
 * serve.
 */
import type { Migrate, Stage } from "../core/abi.ts";
import type { Observer } from "../observe/observer.ts";
import type { Lab } from "./lab.ts";
import { NO_ANSWER } from "./lab_client.ts";
import { becomes, Trial } from "./trial.ts";

export type MigratingStage = Exclude<Stage, "syn">;

/** Connections of one trial. */
const COUNT = 10;
/** The SYN-ACK timer fires 1 s after the SYN (TCP_TIMEOUT_INIT), which a slow machine can miss. */
const TRIES = 3;

/** The fate of some connections whose listener was closed. */
export interface MigrationTrial {
  readonly connections: number;
  /** Connections that the other listener answered. */
  readonly served: number;
  /** Why the rest were lost, each reason once. */
  readonly lost: readonly string[];
  /** Some answers may merely be late, as on a slow machine. */
  readonly timedOut: boolean;
  /** The program decided once for each connection, at the stage, and selected. */
  readonly exact: boolean;
  /** Decisions by `<stage> <outcome>`. */
  readonly decisions: Readonly<Record<string, number>>;
}

/** What a {@link PROCEDURES procedure} counted. */
type Counted = Pick<MigrationTrial, "served" | "lost" | "decisions">;

/**
 * Brings connections to a stage and closes their listener. Repeats a trial in which all were served
 * at another stage, since that can be the machine's doing.
 * @param migrate the policy of the group
 * @returns the last trial, or null when the connections did not reach the stage in time
 */
export async function tryMigration(
  lab: Lab,
  observer: Observer,
  stage: MigratingStage,
  migrate: Migrate = "newest",
): Promise<MigrationTrial | null> {
  for (let tries = 1; ; tries++) {
    using trial = await Trial.start(lab, observer, { defer: stage !== "accept_queue", migrate });
    const counted = await PROCEDURES[stage](trial);
    if (counted === null) return null;
    const { served, lost, decisions } = counted;
    const exact = decisions[`${stage} selected`] === COUNT && Object.keys(decisions).length === 1;
    if (served < COUNT || exact || tries === TRIES) {
      return { ...counted, connections: COUNT, timedOut: lost.includes(NO_ANSWER), exact };
    }
  }
}

/** Brings connections to each stage and closes their listener; null if they did not reach it. */
const PROCEDURES: Readonly<Record<MigratingStage, (trial: Trial) => Promise<Counted | null>>> = {
  /** They are connected and have sent their line, and no process accepts. */
  async accept_queue(trial) {
    const { lab, old, port } = trial;
    const batch = await lab.call("connect", { port, count: COUNT });
    await lab.call("talk", { batch });
    if (!(await becomes(() => trial.queued() === COUNT))) return null;
    const next = await join(trial);
    await lab.call("close", { fd: old });
    return settle(trial, batch, next);
  },

  /** With TCP_DEFER_ACCEPT the client's line ends the handshake, a bare ACK does not. */
  async handshake_ack(trial) {
    const { lab, old, port } = trial;
    const batch = await lab.call("connect", { port, count: COUNT });
    const next = await join(trial);
    await lab.call("close", { fd: old, batch });
    return settle(trial, batch, next);
  },

  /** As before, but the clients send nothing until the SYN-ACK timer has fired. */
  async handshake_timer(trial) {
    const { lab, old, port } = trial;
    const batch = await lab.call("connect", { port, count: COUNT });
    const next = await join(trial);
    await lab.call("close", { fd: old });
    const decided = () => Object.values(trial.decisions()).reduce((a, b) => a + b, 0) >= COUNT;
    if (!(await becomes(decided))) return null;
    await lab.call("talk", { batch });
    return settle(trial, batch, next);
  },
};

/** Opens the other listener and makes it a target. */
async function join(trial: Trial): Promise<number> {
  const { fd } = await trial.open();
  trial.apply();
  return fd;
}

async function settle(trial: Trial, batch: number, next: number): Promise<Counted> {
  await trial.lab.call("serve", { fd: next });
  const tally = await trial.lab.call("tally", { batch });
  return { ...tally, decisions: trial.decisions() };
}
