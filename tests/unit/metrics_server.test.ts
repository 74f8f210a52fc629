/**
 * /metrics as clients have it: several at once, some that go away, some that ask for something
 * else.
 */
import assert from "node:assert/strict";
import { once } from "node:events";
import { connect } from "node:net";
import { test } from "node:test";
import { setImmediate as turn } from "node:timers/promises";
import { type Collect, collected } from "../../cli/metrics/exporter.ts";
import { type MetricsServer, type MetricsSource, serveMetrics } from "../../cli/metrics/server.ts";
import type { LastingLog } from "../../cli/output/log.ts";
import type { StoreStatus } from "../../loader/store/server.ts";
import { groupStatus, statusOf } from "../helpers/fixtures.ts";

const ANY = { host: "127.0.0.1", port: 0 };
const LOG: LastingLog = { log: () => {}, droppedLines: () => 0, written: async () => {} };
const STATUS = statusOf([groupStatus()], 0);

/** A server, and the reading it waits for. */
async function serving(
  body: (server: MetricsServer, reading: { count: number; end(): void }) => Promise<void>,
): Promise<void> {
  let waiting: (() => void)[] = [];
  const reading = {
    count: 0,
    end: () => {
      for (const go of waiting) go();
      waiting = [];
    },
  };
  const collect: Collect = async (each) => {
    reading.count++;
    await new Promise<void>((resolve) => waiting.push(resolve));
    return collected(STATUS)(each);
  };
  const server = await serveMetrics(ANY, { collect }, LOG);
  try {
    await body(server, reading);
  } finally {
    reading.end();
    await server.close();
  }
}

async function begun(reading: { count: number }, count: number): Promise<void> {
  while (reading.count < count) await turn();
}

test("who asks while it is read for shares the reading", () =>
  serving(async ({ url }, reading) => {
    const { hostname, port } = new URL(url);
    const socket = connect(Number(port), hostname);
    let text = "";
    socket.setEncoding("utf8").on("data", (chunk: string) => {
      text += chunk;
    });
    // In one piece: the server has both before it answers one.
    socket.write("GET /metrics HTTP/1.1\r\nhost: x\r\n\r\n".repeat(2));
    await begun(reading, 1);
    await turn();
    reading.end();
    const answers = () =>
      text.match(/^reuseport_migrate_groups\{service=":80"\} 1$/gm)?.length ?? 0;
    while (answers() < 2) await once(socket, "data");
    socket.destroy();
    assert.equal(reading.count, 1);
  }));

test("a client that goes away while it is read for leaves nothing", () =>
  serving(async ({ url }, reading) => {
    for (let i = 1; i <= 20; i++) {
      const { hostname, port } = new URL(url);
      const socket = connect(Number(port), hostname);
      socket.write("GET /metrics HTTP/1.1\r\nhost: x\r\n\r\n");
      await begun(reading, i);
      socket.resetAndDestroy();
      await once(socket, "close");
      reading.end();
      await turn();
    }
    const whole = fetch(url);
    await begun(reading, 21);
    reading.end();
    const response = await whole;
    assert.equal(response.status, 200);
    assert.match(await response.text(), /collection_errors_total 0\n/);
  }));

test("a reading that fails is answered, and counted", async () => {
  const collect = () => Promise.reject(new Error("no"));
  const server = await serveMetrics(ANY, { collect }, LOG);
  try {
    const response = await fetch(server.url);
    assert.equal(response.status, 200);
    assert.match(await response.text(), /reuseport_migrate_collection_errors_total 1\n/);
  } finally {
    await server.close();
  }
});

test("anything else than GET /metrics is said to be", () =>
  serving(async ({ url }, reading) => {
    assert.equal((await fetch(url, { method: "POST" })).status, 405);
    assert.equal((await fetch(new URL("/other", url))).status, 404);
    assert.match(await (await fetch(new URL("/", url))).text(), /see \/metrics/);
    assert.equal(reading.count, 0);
  }));

test("OpenMetrics is for who asks for it: whole, the metrics of the server included", async () => {
  const server = await serveMetrics(ANY, { collect: collected(STATUS) }, LOG);
  try {
    const accept = "application/openmetrics-text;version=1.0.0,text/plain;q=0.5";
    const open = await fetch(server.url, { headers: { accept } });
    assert.match(open.headers.get("content-type") ?? "", /^application\/openmetrics-text; version/);
    const text = await open.text();
    assert.match(text, /^# TYPE reuseport_migrate_http_connections_dropped counter$/m);
    assert.ok(text.endsWith("\n# EOF\n"));
    const plain = await fetch(server.url);
    assert.match(plain.headers.get("content-type") ?? "", /^text\/plain; version=0\.0\.4/);
    assert.doesNotMatch(await plain.text(), /# EOF/);
  } finally {
    await server.close();
  }
});

test("if the store cannot be read, the groups still answer; and the other way round", async () => {
  const warnings: string[] = [];
  const fails = { collect: false, store: true };
  const status = (): StoreStatus => {
    if (fails.store) throw new Error("no store");
    const counts = { put: 3, taken: 0, expired: 0, dropped: 0, refused: {} };
    return { path: "/s", names: [], clients: 1, counts } as unknown as StoreStatus;
  };
  const source: MetricsSource = {
    collect: (each) =>
      fails.collect ? Promise.reject(new Error("no groups")) : collected(STATUS)(each),
    store: () => ({ status }),
  };
  const log: LastingLog["log"] = ({ text }) => warnings.push(text);
  const server = await serveMetrics(ANY, source, {
    log,
    droppedLines: () => 7,
    written: async () => {},
  });
  const scrape = async () => {
    const response = await fetch(server.url);
    assert.equal(response.status, 200);
    return response.text();
  };
  try {
    const groups = await scrape();
    assert.match(groups, /^reuseport_migrate_groups\{service=":80"\} 1$/m);
    assert.match(groups, /^reuseport_migrate_collection_errors_total 1$/m);
    assert.doesNotMatch(groups, /store_put_total/);
    assert.match(groups, /^reuseport_migrate_log_lines_dropped_total 7$/m);
    await scrape();
    fails.store = false;
    fails.collect = true;
    const store = await scrape();
    assert.match(store, /^reuseport_migrate_store_put_total 3$/m);
    assert.match(store, /^reuseport_migrate_collection_errors_total 3$/m);
    assert.deepEqual(warnings, [
      "/metrics lacks the store: no store",
      "/metrics is incomplete: no groups",
    ]);
  } finally {
    await server.close();
  }
});
