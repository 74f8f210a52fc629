/**
 * /events: server-sent events (WHATWG HTML, 9.2), for every one who looks. Nothing is buffered for a
 * client: events are read again from the ring, and changes of status from the feed, once it has read
 * what it was sent.
 */
import type { IncomingMessage, ServerResponse } from "node:http";
import type { ReadEvents } from "../../loader/events/event_ring.ts";
import { eventJson } from "../output/log.ts";
import { STATUS_VERSION, type StatusFeed } from "./status_feed.ts";

/** Most streams at once. */
export const MAX_STREAMS = 16;
/** Between two looks while there is a stream, ms. */
const LOOK_MS = 250;
/** A client that has not read what it was sent for this long, ms, is disconnected. */
const SLOW_MS = 10_000;
/** A line without meaning after this time, ms, shows that the connection is alive. */
const PING_MS = 10_000;
/** Events that a new client gets. */
const FIRST_EVENTS = 50;

export interface StreamSource {
  readonly feed: StatusFeed;
  /** As EventRing.read. */
  readEvents(after: number): ReadEvents;
}

export interface StreamOptions {
  readonly lookMs?: number;
  readonly slowMs?: number;
  readonly max?: number;
}

/** An event, by its id in a map. */
type Position = Pick<ReadEvents, "last" | "mapId">;

class Stream {
  readonly response: ServerResponse;
  /** The last event, of which map, and the revision of the status that it was sent. */
  last: number;
  mapId: number;
  revision = 0;
  sentMs = performance.now();

  constructor(response: ServerResponse, { last, mapId }: Position) {
    this.response = response;
    this.last = last;
    this.mapId = mapId;
  }

  get isReading(): boolean {
    return !this.response.writableNeedDrain;
  }

  send(text: string): void {
    this.response.write(text);
    this.sentMs = performance.now();
  }
}

export class EventStreams implements Disposable {
  readonly #source: StreamSource;
  readonly #options: Required<StreamOptions>;
  readonly #streams = new Set<Stream>();
  #timer: NodeJS.Timeout | undefined;
  #isLooking = false;

  constructor(source: StreamSource, options: StreamOptions = {}) {
    this.#source = source;
    this.#options = { lookMs: LOOK_MS, slowMs: SLOW_MS, max: MAX_STREAMS, ...options };
  }

  /** Number of streams. */
  get size(): number {
    return this.#streams.size;
  }

  /** Answers a request for /events: with a stream, or 503 if there are enough. */
  open(request: IncomingMessage, response: ServerResponse): void {
    if (this.size >= this.#options.max) {
      const text = `there are ${this.#options.max} streams already: close one\n`;
      response.writeHead(503, { "retry-after": "10", "content-type": "text/plain" }).end(text);
      return;
    }
    response.writeHead(200, { "content-type": "text/event-stream", "cache-control": "no-store" });
    if (request.method === "HEAD") {
      response.end();
      return;
    }
    const stream = new Stream(response, this.#begin(request.headers["last-event-id"]));
    this.#streams.add(stream);
    response.once("close", () => this.#close(stream));
    stream.send("retry: 2000\n\n");
    this.#timer ??= setInterval(() => void this.#look(), this.#options.lookMs);
    void this.#look();
  }

  /** Returns the event after which a client continues; a new one gets the last few. */
  #begin(lastEventId: string | string[] | undefined): Position {
    const [, map, id] = /^(\d{1,10})-(\d{1,15})$/.exec(String(lastEventId)) ?? [];
    if (map !== undefined) return { last: Number(id), mapId: Number(map) };
    const { last, mapId } = this.#source.readEvents(0);
    return { last: Math.max(0, last - FIRST_EVENTS), mapId };
  }

  async #look(): Promise<void> {
    if (this.#isLooking) return;
    this.#isLooking = true;
    try {
      await this.#source.feed.refresh();
    } catch {
      // /metrics and the log tell of it; the page shows the last status.
    } finally {
      this.#isLooking = false;
    }
    if (this.size === 0) this.#source.feed.clear();
    for (const stream of this.#streams) this.#update(stream);
  }

  #update(stream: Stream): void {
    const idleMs = performance.now() - stream.sentMs;
    if (!stream.isReading) {
      if (idleMs > this.#options.slowMs) stream.response.destroy();
      return;
    }
    let read = this.#source.readEvents(stream.last);
    if (read.mapId !== stream.mapId) {
      [stream.last, stream.mapId] = [0, read.mapId];
      read = this.#source.readEvents(0);
    }
    const { events, last, missed, mapId } = read;
    let text = missed > 0 && stream.last > 0 ? `event: missed\ndata: ${missed}\n\n` : "";
    for (const event of events) {
      const { id, timeMs, pid } = event;
      text += `id: ${mapId}-${id}\nevent: log\ndata: ${eventJson(event, timeMs, { id, sidecar_pid: pid })}\n\n`;
    }
    stream.last = last;
    const { revision, groups, gone } = this.#source.feed.since(stream.revision);
    if (revision > stream.revision) {
      const version = stream.revision === 0 ? `"version":${STATUS_VERSION},` : "";
      const data = `{${version}"groups":[${groups.join(",")}],"gone":${JSON.stringify(gone)}}`;
      text += `event: status\ndata: ${data}\n\n`;
      stream.revision = revision;
    }
    if (text !== "") stream.send(text);
    else if (idleMs > PING_MS) stream.send(":\n\n");
  }

  #close(stream: Stream): void {
    this.#streams.delete(stream);
    if (this.size > 0) return;
    clearInterval(this.#timer);
    this.#timer = undefined;
    // A stream that is opened while the status is read shares that read, which must be whole.
    if (!this.#isLooking) this.#source.feed.clear();
  }

  [Symbol.dispose](): void {
    for (const { response } of this.#streams) response.destroy();
  }
}
