/** The log of one sidecar: each line is an event that is pinned, and then written. */
import { mkdirSync } from "node:fs";
import type { PinTree } from "../bpf/pin_tree.ts";
import { type Log, message, type SidecarEvent } from "../log.ts";
import { EventRing, type ReadEvents } from "./event_ring.ts";

export class EventLog {
  readonly #write: Log;
  #ring: EventRing | null = null;

  /** @param write called with each event */
  constructor(write: Log) {
    this.#write = write;
  }

  /** Pins events from now on, until the result is called. Without a ring lines are only written. */
  open(pinTree: PinTree): () => void {
    try {
      if (!pinTree.exists) mkdirSync(pinTree.root, { recursive: true, mode: 0o700 });
      this.#ring = EventRing.make(pinTree);
    } catch (error) {
      this.#end(`events are not kept: ${message(error)}`);
    }
    return () => this.#end();
  }

  readonly log: Log = (event, timeMs = Date.now()) => {
    try {
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

  #end(text?: string): void {
    this.#ring?.[Symbol.dispose]();
    this.#ring = null;
    if (text !== undefined) this.#write(withoutRing(text));
  }
}

function withoutRing(text: string): SidecarEvent {
  return { level: "warn", event: "warning", text, fields: { about: "events" } };
}
