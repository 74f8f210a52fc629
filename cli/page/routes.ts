/** What a sidecar answers beside /metrics: the page, its status as JSON, and its events. */
import type { IncomingMessage, ServerResponse } from "node:http";
import { isIP } from "node:net";
import type { ReadEvents } from "../../loader/events/event_ring.ts";
import type { GroupStatus } from "../../loader/operate/status.ts";
import { EventStreams } from "./event_streams.ts";
import { pageMarkup, readParts } from "./markup.ts";
import { type ReadStatus, StatusFeed } from "./status_feed.ts";

export interface PageSource {
  readonly readStatus: ReadStatus;
  /** As EventRing.read. */
  readEvents(after: number): ReadEvents;
}

export type Handler = (request: IncomingMessage, response: ServerResponse) => void | Promise<void>;

/** Headers of each answer: nothing of it is for other sites. */
const HEADERS = {
  "cache-control": "no-store",
  "x-content-type-options": "nosniff",
  "referrer-policy": "no-referrer",
  "cross-origin-resource-policy": "same-origin",
} as const;

/** Returns what answers for each path. */
export function pageRoutes({ readStatus, readEvents }: PageSource): ReadonlyMap<string, Handler> {
  const streams = new EventStreams({ feed: new StatusFeed(readStatus), readEvents });
  const page: Handler = async (_, response) => {
    const groups: GroupStatus[] = [];
    await readStatus((group) => groups.push(group));
    const parts = readParts();
    response.setHeader("content-security-policy", parts.policy);
    response.writeHead(200, { "content-type": "text/html; charset=utf-8" });
    response.end(pageMarkup(parts, groups));
  };
  const status: Handler = async (_, response) => {
    const feed = new StatusFeed(readStatus);
    await feed.refresh();
    response.writeHead(200, { "content-type": "application/json" });
    response.end(`${feed.json(Date.now())}\n`);
  };
  return new Map([
    ["/", own(page)],
    ["/status.json", own(status)],
    ["/events", own((request, response) => streams.open(request, response))],
  ]);
}

/**
 * Refuses a request whose Host is a name, other than localhost, while the server is reached at a
 * loopback address: a site that lets its name point there would read the answer (DNS rebinding).
 */
function own(route: Handler): Handler {
  return (request, response) => {
    for (const [name, value] of Object.entries(HEADERS)) response.setHeader(name, value);
    if (isLoopback(request.socket.localAddress ?? "") && !isOwnName(request.headers.host ?? "")) {
      const text = "open this page by its address, or as localhost\n";
      response.writeHead(421, { "content-type": "text/plain" }).end(text);
      return;
    }
    return route(request, response);
  };
}

const isLoopback = (address: string): boolean => /^(?:::ffff:)?127\.|^::1$/.test(address);

function isOwnName(host: string): boolean {
  const name = host.replace(/:\d+$/, "").replace(/^\[(.*)\]$/, "$1");
  // No browser leaves the name out; HTTP/1.0 may.
  return name === "" || name.toLowerCase() === "localhost" || isIP(name) > 0;
}
