/**
 * The last lines of the logs of all sidecars that share a pin tree, pinned: any command can read
 * them, and they outlive the sidecar. Sidecars append without a lock: each takes the next number from
 * the map's memory.
 */
import { rmSync } from "node:fs";
import { BpfMap } from "../bpf/map.ts";
import { differ, obtainIfAny, pin } from "../bpf/pin.ts";
import type { PinTree } from "../bpf/pin_tree.ts";
import { LAYOUT } from "../core/abi.ts";
import { EVENTS_MAP, KEPT_EVENTS } from "../core/map_shapes.ts";
import { hasCode } from "../errors.ts";
import type { SidecarEvent } from "../log.ts";
import { Owned } from "../owned.ts";
import { decodeEvent, encodeEvent, type PastEvent } from "./event_record.ts";

/** An event that is not written after this time, ms, never will be: its sidecar was killed. */
const WRITING_MS = 1_000;

/** What was read at once. */
export interface ReadEvents {
  readonly events: readonly PastEvent[];
  /** The id after which to read next. */
  readonly last: number;
  /** Events that were replaced before they were read. */
  readonly missed: number;
  /** The kernel's number of the map; ids begin anew in the next one. 0: there is none. */
  readonly mapId: number;
}

export class EventRing implements Disposable {
  readonly #map: BpfMap;
  /** The kernel's number of this map. */
  readonly mapId: number;
  /** The first event that was missing at the last read, and since when. */
  #missing = { id: 0, sinceMs: 0 };

  private constructor(map: BpfMap) {
    this.#map = map;
    this.mapId = map.id;
  }

  /** Opens what is pinned; null: nothing is, or another version pinned it. */
  static open({ events }: Pick<PinTree, "events">): EventRing | null {
    const fd = obtainIfAny(events);
    if (fd === null) return null;
    using own = new Owned();
    const map = own.use(new BpfMap(fd));
    if (differ("events", EVENTS_MAP, map.shape).length > 0) return null;
    return own.release(new EventRing(map));
  }

  /** Opens what is pinned, or pins it; what another version pinned is replaced. */
  static make(pinTree: Pick<PinTree, "events">): EventRing {
    const pinned = EventRing.open(pinTree);
    if (pinned) return pinned;
    using own = new Owned();
    const map = own.use(BpfMap.create("events", EVENTS_MAP));
    rmSync(pinTree.events, { force: true });
    try {
      pin(map.fd, pinTree.events);
    } catch (error) {
      // Another sidecar pinned it meanwhile.
      const other = hasCode(error, "EEXIST") ? EventRing.open(pinTree) : null;
      if (other) return other;
      throw error;
    }
    return own.release(new EventRing(map));
  }

  /** The id of the newest event; 0: there was none. */
  get last(): number {
    return LAYOUT.rm_event_count.decode(this.#map.read(0, 1)).count;
  }

  /** Returns the event as it was appended. */
  append(event: SidecarEvent, timeMs: number): PastEvent {
    const id = this.#map.next();
    const past = { ...event, id, timeMs, pid: process.pid };
    this.#map.update(entryOf(id), encodeEvent(past));
    return past;
  }

  /**
   * Returns the events after the one with the id `after`.
   * @param after 0, or an id of an earlier map: all that are kept
   * @param waits for one that may still be written: the next read then begins with it
   */
  read(after: number, waits = true): ReadEvents {
    const newest = this.last;
    const begin = after <= newest ? after : 0;
    const first = Math.max(begin + 1, newest - KEPT_EVENTS + 1);
    const events: PastEvent[] = [];
    let last = first - 1;
    for (let id = first; id <= newest; id++) {
      const event = decodeEvent(this.#map.read(entryOf(id), 1), id);
      if (event) events.push(event);
      else if (waits && this.#mayBeWriting(id)) break;
      last = id;
    }
    return { events, last, missed: first - 1 - begin, mapId: this.mapId };
  }

  /** Returns whether an event that is not there may be about to be. */
  #mayBeWriting(id: number): boolean {
    const nowMs = performance.now();
    if (this.#missing.id !== id) this.#missing = { id, sinceMs: nowMs };
    return nowMs - this.#missing.sinceMs < WRITING_MS;
  }

  [Symbol.dispose](): void {
    this.#map[Symbol.dispose]();
  }
}

const entryOf = (id: number): number => 1 + ((id - 1) % KEPT_EVENTS);
