/** Log events of a sidecar or store, and the journal that writes them. */
import { LockedError } from "./errors.ts";

/** Something worth a line in the log. `fields` are JSON-ready. */
export interface SidecarEvent {
  readonly level: "info" | "warn" | "error";
  readonly event: string;
  readonly text: string;
  readonly fields: Readonly<Record<string, string | number | null>>;
}

export type Log = (event: SidecarEvent) => void;

/** Writes the log of one sidecar; a lasting condition is said once. */
export class Journal {
  readonly #log: Log;
  /** Last warning by what it is about. */
  readonly #warned = new Map<string, string>();

  constructor(log: Log) {
    this.#log = log;
  }

  say(event: string, text: string, fields: SidecarEvent["fields"] = {}): void {
    this.#log({ level: "info", event, text, fields });
  }

  warn(about: string, text: string): void {
    if (this.#warned.get(about) === text) return;
    this.#warned.set(about, text);
    this.#log({ level: "warn", event: "warning", text, fields: { about } });
  }

  /** What it was about is well again. */
  settled(about: string): void {
    this.#warned.delete(about);
  }

  /** Runs a step; its failure is said once, and settled when it succeeds. */
  attempt(about: string, step: () => void): void {
    try {
      step();
      this.settled(about);
    } catch (error) {
      this.warn(about, message(error));
    }
  }
}

/** An error as the log says it. */
export function message(error: unknown): string {
  // A lock held for a moment is not news each time with another pid.
  if (error instanceof LockedError) return "another reuseport-migrate is at work; trying again";
  return error instanceof Error ? error.message : String(error);
}
