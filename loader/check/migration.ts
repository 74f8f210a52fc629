/** The self-test of a stage: real connections, whose listener leaves, are served by the other one. */
import type { Migrate, Stage } from "../abi.ts";
import type { Observer } from "../observe.ts";
import type { Lab } from "./lab.ts";
import { NO_ANSWER } from "./lab_client.ts";
import { type Finding, no, ok, unknown } from "./probe.ts";
import { becomes, Trial } from "./trial.ts";

export type MigratingStage = Exclude<Stage, "syn">;

const COUNT = 10;
/** The SYN-ACK timer fires 1 s after the SYN (TCP_TIMEOUT_INIT): a slow machine may be later than it. */
const TRIES = 3;

/** What was seen of one batch. */
interface Seen {
  readonly served: number;
  readonly lost: readonly string[];
  readonly decisions: Readonly<Record<string, number>>;
}

/**
 * Brings connections to a stage, closes their listener, and looks who answers.
 * @param migrate as the group's policy
 */
export async function probeMigration(
  lab: Lab,
  observer: Observer,
  stage: MigratingStage,
  migrate: Migrate = "newest",
): Promise<Finding> {
  const wanted = `${stage} selected`;
  for (let tries = 1; ; tries++) {
    using trial = await Trial.start(lab, observer, { defer: stage !== "accept_queue", migrate });
    const seen = await WAYS[stage](trial);
    if (seen === null) return unknown("the connections did not get there in time");
    const { served, lost, decisions } = seen;
    if (served < COUNT) {
      const text = `${COUNT - served} of ${COUNT} connections lost: ${lost.join(", ")}`;
      // A machine that is slow enough answers late.
      return lost.includes(NO_ANSWER) ? unknown(text) : no(text);
    }
    if (decisions[wanted] === COUNT && Object.keys(decisions).length === 1) {
      return ok(`${COUNT} of ${COUNT} connections migrated, with their data`);
    }
    const made = Object.entries(decisions).map(([decision, count]) => `${decision} ${count}`);
    const text = `all ${COUNT} were served, but counted as ${made.join(", ") || "nothing"}`;
    if (tries === TRIES) return unknown(text);
  }
}

/** How connections get to each stage. null: they did not. */
const WAYS: Readonly<Record<MigratingStage, (trial: Trial) => Promise<Seen | null>>> = {
  /** Connected, their line sent, and nobody accepts. */
  async accept_queue(trial) {
    const { lab, old, port } = trial;
    const batch = await lab.call("connect", { port, count: COUNT });
    await lab.call("talk", { batch });
    if (!(await becomes(() => trial.queued() === COUNT))) return null;
    const next = await join(trial);
    await lab.call("close", { fd: old });
    return settle(trial, batch, next);
  },

  /** With TCP_DEFER_ACCEPT a bare final ACK does not end the handshake; the client's line does. */
  async handshake_ack(trial) {
    const { lab, old, port } = trial;
    const batch = await lab.call("connect", { port, count: COUNT });
    const next = await join(trial);
    await lab.call("close", { fd: old, batch });
    return settle(trial, batch, next);
  },

  /** The same, but nothing is sent before the SYN-ACK timer has fired. */
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

async function settle(trial: Trial, batch: number, next: number): Promise<Seen> {
  await trial.lab.call("serve", { fd: next });
  const tally = await trial.lab.call("tally", { batch });
  return { ...tally, decisions: trial.decisions() };
}
