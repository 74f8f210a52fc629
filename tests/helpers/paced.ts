/** Short HTTP connections at a fixed rate from a process of its own, each timed and classified. */
import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { PYTHON, scriptPath } from "./script.ts";

const run = promisify(execFile);
/** How much longer than it should a client may take: beyond, the machine is too busy to say anything. */
const LATE = 1.25;

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

/** By port, in ascending order. @throws Error when the client itself was too slow for the rate */
export async function paced({ under = [], ...pace }: Pace): Promise<Paced[]> {
  const [command = "", ...args] = [...under, PYTHON, scriptPath("paced.py"), JSON.stringify(pace)];
  const { stdout } = await run(command, args, { maxBuffer: 64 * 1024 * 1024 });
  const { seconds, ports } = JSON.parse(stdout) as { seconds: number; ports: Paced[] };
  if (seconds > pace.seconds * LATE) {
    throw new Error(`the client opened its connections in ${seconds} s, not ${pace.seconds}`);
  }
  return ports;
}

export function lostOf({ lost }: Paced): number {
  return Object.values(lost).reduce((sum, count) => sum + count, 0);
}
