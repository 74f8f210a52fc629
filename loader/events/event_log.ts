/** The log of one sidecar: each line is an event that is pinned, and then written. */
import { existsSync, mkdirSync } from "node:fs";
import type { PinTree } from "../bpf/pin_tree.ts";
import { ConflictError, hasCode } from "../errors.ts";
import { type Log, message, type SidecarEvent } from "../log.ts";
import { EventRing, type ReadEvents } from "./event_ring.ts";

/** Tries to pin: each time, another command may have just removed the directory. */
const TRIES = 5;

export class EventLog {
  readonly #write: Log;
  #pinTree: PinTree | null = null;
  #ring: EventRing | null = null;

  /** @param write called with each event */
  constructor(write: Log) {
    this.#write = write;
  }

  /** Pins events from now on, until the result is called. Without a ring lines are only written. */
  open(pinTree: PinTree): () => void {
    try {
      this.#ring = makeRing(pinTree);
      this.#pinTree = pinTree;
    } catch (error) {
      // The start fails with the same sentence, at the lock.
      if (error instanceof ConflictError) this.#end();
      else this.#end(`events are not kept: ${message(error)}`);
    }
    return () => this.#end();
  }

  readonly log: Log = (event, timeMs = Date.now()) => {
    try {
      this.#repin();
      this.#ring?.append(event, timeMs);
    } catch (error) {
      this.#end(`events are no longer kept: ${message(error)}`);
    }
    this.#write(event, timeMs);
  };

  /** As {@link EventRing.read}; nothing without a ring. */
  read(after: number): ReadEvents {
    return this.#ring?.read(after) ?? { events: [], last: after, missed: 0, mapId: 0 };
  }

  /** A command that could not see this sidecar removed the pin: in another pid namespace. */
  #repin(): void {
    if (this.#pinTree === null || existsSync(this.#pinTree.events)) return;
    const ring = makeRing(this.#pinTree);
    this.#ring?.[Symbol.dispose]();
    this.#ring = ring;
  }

  #end(text?: string): void {
    this.#ring?.[Symbol.dispose]();
    this.#ring = null;
    this.#pinTree = null;
    if (text !== undefined) this.#write(withoutRing(text));
  }
}

function makeRing(pinTree: PinTree): EventRing {
  for (let tries = 1; ; tries++) {
    try {
      mkdirSync(pinTree.root, { recursive: true, mode: 0o700 });
      if (pinTree.exists || tries === TRIES) return EventRing.make(pinTree); // and is ours
    } catch (error) {
      if (tries === TRIES || !hasCode(error, "ENOENT")) throw error;
    }
  }
}

function withoutRing(text: string): SidecarEvent {
  return { level: "warn", event: "warning", text, fields: { about: "events" } };
}
