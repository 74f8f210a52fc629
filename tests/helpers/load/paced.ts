/** Short HTTP connections at a fixed rate from a separate process, each timed and classified. */
import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { PYTHON, scriptPath } from "../host/script.ts";

const run = promisify(execFile);
/**
 * The factor by which the client may be slower than the rate; beyond it the machine is too busy to
 * measure.
 */
const LATE = 1.25;
const MAX_TRIES = 5;

export interface Pace {
  /** The ports, visited equally often and in random order. */
  readonly ports: readonly number[];
  /** New connections per second, to all ports together. */
  readonly rate: number;
  readonly seconds: number;
  /** A command that starts the client, such as `["taskset", "-c", "0"]`. */
  readonly under?: readonly string[];
}

/** The results of the connections to one port. */
export interface Paced {
  /** From connect() to the response; us. */
  readonly latencies: readonly number[];
  /**
   * Connections without a whole response, counted by their result: refused, reset, timeout, short.
   */
  readonly lost: Readonly<Record<string, number>>;
}

/** The machine was busy with something else, so the measurement is worthless. */
export class BusyError extends Error {}

/**
 * Returns the results by port, in ascending order. @throws BusyError if the client was too slow for
 * the rate
 */
export async function paced({ under = [], ...pace }: Pace): Promise<Paced[]> {
  const [command = "", ...args] = [
    ...under,
    PYTHON,
    scriptPath("load/paced.py"),
    JSON.stringify(pace),
  ];
  const { stdout } = await run(command, args, { maxBuffer: 64 * 1024 * 1024 });
  const { seconds, ports } = JSON.parse(stdout) as { seconds: number; ports: Paced[] };
  if (seconds > pace.seconds * LATE) {
    throw new BusyError(`the client opened its connections in ${seconds} s, not ${pace.seconds}`);
  }
  return ports;
}

/** Repeats a measurement while the machine is too busy. @throws BusyError after 5 tries */
export async function undisturbed<T>(window: () => Promise<T>): Promise<T> {
  for (let tries = 1; ; tries++) {
    try {
      return await window();
    } catch (error) {
      if (!(error instanceof BusyError) || tries === MAX_TRIES) throw error;
    }
  }
}

export function lostOf({ lost }: Paced): number {
  return Object.values(lost).reduce((sum, count) => sum + count, 0);
}
