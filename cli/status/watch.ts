/** `status --watch`: reads status at every interval until a signal. */
import { setTimeout as sleep } from "node:timers/promises";
import type { Status } from "../../loader/operate/status.ts";
import type { Env } from "../env.ts";
import { durationText } from "../options/values.ts";
import { RepeatFilter } from "../output/repeats.ts";
import { statusJson } from "../output/status_json.ts";
import { statusText } from "../output/status_text.ts";
import { changes } from "./lines.ts";
import { Reading } from "./reading.ts";
import { Screen } from "./screen.ts";

export interface WatchOptions {
  readonly intervalMs: number;
  readonly json: boolean;
  read(): Status;
}

/** Returns on a signal, or once stdout has no reader. */
export async function watch(env: Env, { intervalMs, json, read }: WatchOptions): Promise<void> {
  const { stdout } = env;
  const end = AbortSignal.any([env.stop, env.unread]);
  using screen = stdout.isTTY && !json ? new Screen(stdout) : null;
  const repeats = new RepeatFilter();
  for (let last: Reading | null = null; !end.aborted; ) {
    const reading: Reading = new Reading(read(), performance.now(), last);
    const { errors } = reading.status;
    const now = new Date();
    if (screen) {
      screen.draw(frame(reading, intervalMs, now));
    } else {
      for (const error of repeats.newIn(errors)) {
        env.stderr.write(`reuseport-migrate: ${error}\n`);
      }
      const lines = json ? [jsonLine(reading, now)] : changes(reading, now.toISOString());
      for (const line of lines) stdout.write(`${line}\n`);
    }
    last = reading;
    await sleep(intervalMs, undefined, { signal: end }).catch(() => {});
  }
}

function frame(reading: Reading, intervalMs: number, now: Date): string[] {
  const { status } = reading;
  const text = statusText(status, (group, decision) => reading.rate(group, decision));
  return [
    `reuseport-migrate status, every ${durationText(intervalMs)}: ${now.toISOString()}`,
    "",
    ...text.split("\n"),
    ...status.errors.map((error) => `reuseport-migrate: ${error}`),
  ];
}

function jsonLine(reading: Reading, now: Date): string {
  const status = statusJson(reading.status, (group, decision) => reading.rate(group, decision));
  return JSON.stringify({ time: now.toISOString(), ...status });
}
