/** Log events of a sidecar or store, and the journal that writes them. */
import { LockedError } from "./errors.ts";

/** Names of events. */
export const EVENTS = [
  "attached",
  "taken_over",
  "detached",
  "detached_elsewhere",
  "left_attached",
  "given_up",
  "waiting",
  "listener_added",
  "listener_closed",
  "listener_changed",
  "grown",
  "reattached",
  "moved",
  "drained",
  "undrained",
  "policy_changed",
  "hold_started",
  "hold_ended",
  "cgroup_adopted",
  "cgroup_unadopted",
  "wakeup_tried_out",
  "warning",
  "reloaded",
  "reload_refused",
  "released",
  "restart",
  "metrics_served",
  "log_lines_dropped",
  "store",
  "store_restored",
  "store_expired",
  "store_put",
  "store_taken",
  "store_dropped",
] as const;
export type EventName = (typeof EVENTS)[number];

/** A line of the log. */
export interface SidecarEvent {
  /** `warn`: a person should look at it; `error`: something that was asked for is not done. */
  readonly level: "info" | "warn" | "error";
  /** What happened, in a word (docs/EVENTS.md). */
  readonly event: EventName;
  /** A sentence for people. */
  readonly text: string;
  /** The facts in it, which can be written as JSON. */
  readonly fields: Readonly<Record<string, string | number | null>>;
}

/** Takes a line of the log; it must not throw. @param timeMs ms since 1970; default: now */
export type Log = (event: SidecarEvent, timeMs?: number) => void;

/** Writes the log of one sidecar; a lasting condition is logged once. */
export class Journal {
  readonly #log: Log;
  /** The last warning of each subject. */
  readonly #warned = new Map<string, string>();

  constructor(log: Log) {
    this.#log = log;
  }

  say(
    event: EventName,
    text: string,
    fields: SidecarEvent["fields"] = {},
    level: SidecarEvent["level"] = "info",
  ): void {
    this.#log({ level, event, text, fields });
  }

  warn(about: string, text: string): void {
    if (this.#warned.get(about) === text) return;
    this.#warned.set(about, text);
    this.#log({ level: "warn", event: "warning", text, fields: { about } });
  }

  /** The condition has ended: the next warning about it is logged again. */
  settled(about: string): void {
    this.#warned.delete(about);
  }

  /** The subject is gone: forgets it, and what begins with it. */
  forget(subject: string): void {
    for (const about of this.#warned.keys()) {
      if (about === subject || about.startsWith(`${subject} `)) this.#warned.delete(about);
    }
  }

  /** Runs a step. Logs a failure once, until the step succeeds again; returns whether it did. */
  attempt(about: string, step: () => void): boolean {
    try {
      step();
      this.settled(about);
      return true;
    } catch (error) {
      this.warn(about, message(error));
      return false;
    }
  }
}

/** Returns the sentence that the log has for an error. */
export function message(error: unknown): string {
  // Without the pid, which would make the same condition a new warning each time.
  if (error instanceof LockedError) return "another reuseport-migrate holds the lock; trying again";
  return error instanceof Error ? error.message : String(error);
}
