/** Short HTTP connections at a fixed rate from a process of its own, each timed and classified. */
import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { PYTHON, scriptPath } from "./script.ts";

const run = promisify(execFile);
/** How much longer than it should a client may take: beyond, the machine is too busy to say anything. */
const LATE = 1.25;
const MAX_TRIES = 5;

export interface Pace {
  /** Visited equally often, in random order. */
  readonly ports: readonly number[];
  /** New connections a second, to all of them together. */
  readonly rate: number;
  readonly seconds: number;
  /** A command to start it with, such as `["taskset", "-c", "0"]`. */
  readonly under?: readonly string[];
}

/** What became of the connections to one port. */
export interface Paced {
  /** From connect() to the response, us. */
  readonly latencies: readonly number[];
  /** How many got no whole response, by what they got: refused, reset, timeout, short. */
  readonly lost: Readonly<Record<string, number>>;
}

/** The machine did something else meanwhile: what was measured says nothing. */
export class BusyError extends Error {}

/** By port, in ascending order. @throws BusyError when the client itself was too slow for the rate */
export async function paced({ under = [], ...pace }: Pace): Promise<Paced[]> {
  const [command = "", ...args] = [...under, PYTHON, scriptPath("paced.py"), JSON.stringify(pace)];
  const { stdout } = await run(command, args, { maxBuffer: 64 * 1024 * 1024 });
  const { seconds, ports } = JSON.parse(stdout) as { seconds: number; ports: Paced[] };
  if (seconds > pace.seconds * LATE) {
    throw new BusyError(`the client opened its connections in ${seconds} s, not ${pace.seconds}`);
  }
  return ports;
}

/** Takes a window again when the machine was too busy. @throws BusyError when it always is */
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
