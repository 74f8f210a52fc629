/** `status --watch`: a reading at every interval until a signal ends it. */
import { setTimeout as sleep } from "node:timers/promises";
import type { Status } from "../../loader/operate/status.ts";
import type { Env } from "../env.ts";
import { durationText } from "../options/values.ts";
import { statusJson, statusText } from "../output/status_text.ts";
import { changes } from "./lines.ts";
import { Reading } from "./reading.ts";
import { Screen } from "./screen.ts";

export interface Watching {
  readonly intervalMs: number;
  readonly json: boolean;
  read(): Status;
}

/** Returns when a signal comes, or nobody reads any more. */
export async function watch(env: Env, { intervalMs, json, read }: Watching): Promise<void> {
  const { stdout } = env;
  const end = AbortSignal.any([env.stop, env.unread]);
  using screen = stdout.isTTY && !json ? new Screen(stdout) : null;
  let said: readonly string[] = [];
  for (let last: Reading | null = null; !end.aborted; ) {
    const reading: Reading = new Reading(read(), performance.now(), last);
    const { errors } = reading.status;
    const now = new Date();
    if (screen) {
      screen.draw(frame(reading, intervalMs, now));
    } else {
      for (const error of errors.filter((text) => !said.includes(text))) {
        env.stderr.write(`reuseport-migrate: ${error}\n`);
      }
      const lines = json ? [jsonLine(reading, now)] : changes(reading, now.toISOString());
      for (const line of lines) stdout.write(`${line}\n`);
    }
    said = errors;
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
