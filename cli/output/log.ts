/**
 * Log lines: readable, or one JSON object each. The journal has a time and a priority of its own:
 * a line for it begins with the latter (sd-daemon(3)), and a readable one has neither in its text.
 */
import type { Log, SidecarEvent } from "../../loader/log.ts";
import { printable } from "../../loader/printable.ts";
import type { Env } from "../env.ts";
import { painter } from "./colour.ts";

/** Priorities of syslog(3). */
const PRIORITY: Readonly<Record<SidecarEvent["level"], number>> = { error: 3, warn: 4, info: 6 };

/** Returns the line for the journal, which takes the priority off. */
export const journalLine = (level: SidecarEvent["level"], text: string): string =>
  `<${PRIORITY[level]}>${text}`;

/** Returns the line of an event, for people. @param timeMs ms since 1970 */
export function eventLine({ level, text }: SidecarEvent, timeMs: number): string {
  return `${new Date(timeMs).toISOString()} ${level.padEnd(5)} ${printable(text)}`;
}

/** Returns the JSON of an event. @param more members before those of the log */
export function eventJson(
  { level, event, text, fields }: SidecarEvent,
  timeMs: number,
  more: Readonly<Record<string, number>> = {},
): string {
  const time = new Date(timeMs).toISOString();
  return JSON.stringify({ ...more, time, level, event, msg: text, ...fields }, (_, value) =>
    typeof value === "string" ? printable(value) : value,
  );
}

/** Returns a function that writes events to stderr. */
export function logger({ stderr, vars }: Pick<Env, "stderr" | "vars">, json: boolean): Log {
  const paint = painter("log", stderr, vars);
  return (event, timeMs = Date.now()) => {
    const line = json
      ? eventJson(event, timeMs)
      : stderr.isJournal
        ? printable(event.text)
        : paint(eventLine(event, timeMs));
    stderr.write(`${stderr.isJournal ? journalLine(event.level, line) : line}\n`);
  };
}

/** The log of a process that must outlive it. */
export interface LastingLog {
  readonly log: Log;
  /** Returns the number of lines that could not be written so far. */
  droppedLines(): number;
  /** Waits for the lines so far, a moment at most: another stream then follows them. */
  written(): Promise<unknown>;
}

/** How long a line on another stream waits for those of the log, ms. */
const ORDER_MS = 100;

/**
 * Returns the log of a process that must outlive it, on stderr.
 * @param isJson asked for each line
 */
export function lastingLog(env: Env, isJson: () => boolean): LastingLog {
  const log: Log = (event, timeMs) => logger(env, isJson())(event, timeMs);
  const resumed = (lines: number, why: string) =>
    log({
      level: "warn",
      event: "log_lines_dropped",
      text: `${lines} line${lines === 1 ? "" : "s"} of this log could not be written: ${WHY[why] ?? why}`,
      fields: { lines },
    });
  const output = env.outlive?.(resumed);
  return {
    log,
    droppedLines: () => output?.dropped() ?? 0,
    written: async () => output?.drain(ORDER_MS),
  };
}

/** Reasons why lines were dropped, in words. */
const WHY: Readonly<Record<string, string>> = {
  full: "its reader was too slow",
  ENOSPC: "no space left on device",
};

/** Returns the event of a problem. @param about its subject, such as `metrics` */
export function warning(about: string, text: string): SidecarEvent {
  return { level: "warn", event: "warning", text, fields: { about } };
}
