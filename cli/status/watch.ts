/** `status --watch`: reads status at every interval until a signal, or a key. */
import { hostname, release } from "node:os";
import { setTimeout as sleep } from "node:timers/promises";
import type { Status } from "../../loader/operate/status.ts";
import type { Env } from "../env.ts";
import { durationText } from "../options/values.ts";
import { painter } from "../output/colour.ts";
import { textWidth } from "../output/columns.ts";
import { RepeatFilter } from "../output/repeats.ts";
import { statusJson } from "../output/status_json.ts";
import { statusText } from "../output/status_text.ts";
import { KEYS_HELP, keyActions } from "./keyboard.ts";
import { changes } from "./lines.ts";
import { Reading } from "./reading.ts";
import { Screen } from "./screen.ts";

export interface WatchOptions {
  readonly intervalMs: number;
  readonly json: boolean;
  read(): Status;
}

/** Returns on a signal or a key, or once stdout has no reader. */
export async function watch(env: Env, { intervalMs, json, read }: WatchOptions): Promise<void> {
  const { stdout } = env;
  const quit = new AbortController();
  const end = AbortSignal.any([env.stop, env.unread, quit.signal]);
  using screen =
    stdout.isTTY && !json ? new Screen(stdout, painter("status", stdout, env.vars)) : null;
  using keys = screen && env.keys ? new Keys(env.keys, screen, () => quit.abort()) : null;
  const repeats = new RepeatFilter();
  for (let last: Reading | null = null; !end.aborted; ) {
    const reading: Reading = new Reading(read(), performance.now(), last);
    const { errors } = reading.status;
    const now = new Date();
    if (screen) {
      const title = titleOf(intervalMs, now, keys !== null);
      if (!keys?.helping) screen.draw(frame(reading, title, textWidth(screen.columns)));
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

/** Does what keys say, as long as it lives. */
class Keys implements Disposable {
  /** The keys are listed, instead of the status. */
  helping = false;
  readonly #screen: Screen;
  readonly #quit: () => void;
  readonly #input: ReturnType<NonNullable<Env["keys"]>>;

  constructor(open: NonNullable<Env["keys"]>, screen: Screen, quit: () => void) {
    this.#screen = screen;
    this.#quit = quit;
    this.#input = open((typed) => this.#press(typed));
  }

  #press(typed: string): void {
    const wasHelping = this.helping;
    this.helping = false;
    for (const { does, rows = 0, pages = 0 } of keyActions(typed)) {
      if (does === "quit") this.#quit();
      else if (does === "suspend") this.#suspend();
      else if (does === "help") this.helping = !wasHelping;
      else this.#screen.scroll(rows + pages * this.#screen.page);
    }
    if (this.helping) this.#screen.show(KEYS_HELP);
    else if (wasHelping) this.#screen.scroll(0);
  }

  #suspend(): void {
    this.#screen.leave();
    this.#input.suspend();
    this.#screen.enter();
    this.#screen.scroll(0);
  }

  [Symbol.dispose](): void {
    this.#input.close();
  }
}

/** `web1, Linux 6.1.0, every 1s: 15:12:46Z   q quits, ? lists keys`. */
function titleOf(intervalMs: number, now: Date, hasKeys: boolean): string {
  const time = now.toISOString().slice(11, 19);
  const what = `${hostname()}, Linux ${release()}, every ${durationText(intervalMs)}: ${time}Z`;
  return hasKeys ? `${what}  (q quits, ? lists keys)` : what;
}

function frame(reading: Reading, title: string, width: number): string[] {
  const { status } = reading;
  const text = statusText(status, {
    width,
    rate: (group, decision) => reading.rate(group, decision),
  });
  return [
    title,
    "",
    ...text.split("\n"),
    ...status.errors.map((error) => `reuseport-migrate: ${error}`),
  ];
}

function jsonLine(reading: Reading, now: Date): string {
  const status = statusJson(reading.status, (group, decision) => reading.rate(group, decision));
  return JSON.stringify({ time: now.toISOString(), ...status });
}
