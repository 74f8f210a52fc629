/** /events of the page: what a client gets first, and after it comes back. */
import assert from "node:assert/strict";
import { EventEmitter } from "node:events";
import type { IncomingMessage, ServerResponse } from "node:http";
import { describe, test } from "node:test";
import { EventStreams } from "../../cli/page/event_streams.ts";
import { type ReadStatus, StatusFeed } from "../../cli/page/status_feed.ts";
import type { PastEvent } from "../../loader/events/event_record.ts";
import type { GroupStatus } from "../../loader/operate/status.ts";
import { SAMPLE, SAMPLE_GROUP } from "../helpers/product/status_sample.ts";
import { until } from "../helpers/until.ts";

const GROUPS: readonly GroupStatus[] = ["a", "b"].map((name) => ({ ...SAMPLE_GROUP, name }));
const MAP = 17;

const past = (id: number): PastEvent => ({
  id,
  timeMs: 0,
  pid: 1,
  level: "info",
  event: "moved",
  text: `event ${id}`,
  fields: {},
});

/** A client of a stream. */
class Client extends EventEmitter {
  text = "";
  readonly writableNeedDrain = false;

  writeHead(): void {}

  write(text: string): void {
    this.text += text;
  }

  destroy(): void {
    this.emit("close");
  }

  /** Returns the data of the events with this name. */
  dataOf(name: string): string[] {
    const data = new RegExp(`^event: ${name}\\ndata: (.*)$`, "gm");
    return [...this.text.matchAll(data)].map(([, found = ""]) => found);
  }

  /** Returns the names of the groups in the first status. */
  async firstGroups(): Promise<string[]> {
    await until("a status comes", () => this.dataOf("status").length > 0);
    const { groups } = JSON.parse(this.dataOf("status")[0] ?? "");
    return groups.map(({ name }: { name: string }) => name);
  }
}

/** Serves a status and three events, and connects a client to it. */
function streamsOf(readStatus: ReadStatus) {
  const readEvents = (after: number) => {
    const events = [1, 2, 3].filter((id) => id > after).map(past);
    return { events, last: 3, missed: 0, mapId: MAP };
  };
  const streams = new EventStreams({ feed: new StatusFeed(readStatus), readEvents });
  const connect = (lastEventId?: string): Client => {
    const client = new Client();
    const headers = lastEventId === undefined ? {} : { "last-event-id": lastEventId };
    streams.open(
      { method: "GET", headers } as unknown as IncomingMessage,
      client as unknown as ServerResponse,
    );
    return client;
  };
  return { connect, [Symbol.dispose]: () => streams[Symbol.dispose]() };
}

const readAll: ReadStatus = async (each) => {
  for (const group of GROUPS) each(group);
  return SAMPLE;
};

describe("the first status", () => {
  test("has every group, also if the only client came back while the status was read", async () => {
    let next = () => {};
    let reads = 0;
    using streams = streamsOf(async (each) => {
      reads++;
      for (const group of GROUPS) {
        each(group);
        await new Promise<void>((resolve) => {
          next = resolve;
        });
      }
      return SAMPLE;
    });
    const first = streams.connect();
    await until("the status is read", () => reads === 1);
    first.destroy();
    const again = streams.connect();
    const timer = setInterval(() => next(), 1);
    try {
      assert.deepEqual(await again.firstGroups(), ["a", "b"]);
    } finally {
      clearInterval(timer);
    }
  });

  test("comes, too, if there is no group", async () => {
    using streams = streamsOf(async () => SAMPLE);
    assert.deepEqual(await streams.connect().firstGroups(), []);
  });
});

describe("a client that comes back", () => {
  const eventsAfter = async (lastEventId?: string) => {
    using streams = streamsOf(readAll);
    const client = streams.connect(lastEventId);
    await client.firstGroups();
    return client.dataOf("log").map((text) => JSON.parse(text).id);
  };

  test("continues after the event it had last", async () => {
    assert.deepEqual(await eventsAfter(`${MAP}-2`), [3]);
  });

  test("gets all events of another map, whose ids began anew", async () => {
    assert.deepEqual(await eventsAfter(`${MAP - 1}-2`), [1, 2, 3]);
  });

  test("is a new one if it says what no stream has sent", async () => {
    for (const odd of [undefined, "", "2", "-1", "1e3-1e3", "\u{1f600}"]) {
      assert.deepEqual(await eventsAfter(odd), [1, 2, 3], String(odd));
    }
  });
});
