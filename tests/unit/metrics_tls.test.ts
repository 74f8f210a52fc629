/** /metrics over TLS and with passwords: who gets it, and that its limits stay. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { connect } from "node:net";
import { test } from "node:test";
import { connect as connectTls } from "node:tls";
import { servedAt } from "../../cli/config/served_at.ts";
import { readWebConfig } from "../../cli/config/web_config.ts";
import { MAX_CONNECTIONS } from "../../cli/metrics/connection_limit.ts";
import { collected } from "../../cli/metrics/exporter.ts";
import { type MetricsServer, serveMetrics } from "../../cli/metrics/server.ts";
import type { LastingLog } from "../../cli/output/log.ts";
import { groupStatus, statusOf } from "../helpers/fixtures.ts";
import { TempDir } from "../helpers/host/child.ts";
import { FIRST, getOverTls, SECOND, writeWebConfig } from "../helpers/product/certificates.ts";

const LOG: LastingLog = { log: () => {}, droppedLines: () => 0, written: async () => {} };
const STATUS = statusOf([groupStatus()], 0);
const ANY = { host: "127.0.0.1", port: 0 };

async function serving(
  body: (server: MetricsServer, reads: { count: number; wait: Promise<void> }) => Promise<void>,
): Promise<void> {
  using dir = new TempDir();
  const file = writeWebConfig(dir.path, FIRST, ["prom", "secret"]);
  const address = await servedAt(ANY, file);
  assert.ok(address);
  const reads = { count: 0, wait: Promise.resolve() };
  const server = await serveMetrics(
    address,
    {
      collect: async (each) => {
        reads.count++;
        await reads.wait;
        return collected(STATUS)(each);
      },
    },
    LOG,
  );
  try {
    await body(server, reads);
  } finally {
    await server.close();
  }
}

test("only who has the password gets metrics, and only over TLS", () =>
  serving(async ({ url }, reads) => {
    assert.match(url, /^https:/);
    const right = await getOverTls(url, FIRST.cert, "prom:secret");
    assert.equal(right.status, 200);
    assert.match(right.text, /^reuseport_migrate_groups\{service=":80"\} 1$/m);
    for (const auth of [undefined, "prom:wrong", "root:secret"]) {
      const { status, text } = await getOverTls(url, FIRST.cert, auth);
      assert.equal(status, 401, auth);
      assert.doesNotMatch(text, /reuseport_migrate/);
    }
    assert.equal((await getOverTls(new URL("/", url).href, FIRST.cert)).status, 401);
    assert.equal(reads.count, 1);
    await assert.rejects(getOverTls(url, SECOND.cert, "prom:secret"), /certificate/);
    await assert.rejects(fetch(url.replace("https", "http")));
  }));

test("the limit of connections holds, and a request under way is not the one that goes", () =>
  serving(async ({ url }, reads) => {
    const port = Number(new URL(url).port);
    assert.equal((await getOverTls(url, FIRST.cert, "prom:secret")).status, 200);
    let go = () => {};
    reads.wait = new Promise((resolve) => {
      go = resolve;
    });
    const busy = getOverTls(url, FIRST.cert, "prom:secret");
    while (reads.count < 2) await new Promise(setImmediate);
    const idle = [];
    for (let i = 0; i < MAX_CONNECTIONS + 4; i++) {
      const socket = connectTls({ port, host: "127.0.0.1", ca: FIRST.cert });
      socket.on("error", () => {});
      await once(socket, "secureConnect");
      idle.push(socket);
    }
    go();
    const { status, text } = await busy;
    assert.equal(status, 200);
    assert.match(text, /http_connections_dropped_total 5$/m);
    for (const socket of idle) socket.destroy();
  }));

test("a client that never speaks TLS keeps nothing open", () =>
  serving(async ({ url, close }) => {
    const silent = connect(Number(new URL(url).port), "127.0.0.1");
    await once(silent, "connect");
    await close();
    await once(silent, "close");
  }));

test("headers of the file are on every response, also on a refusal", async () => {
  const web = { tls: null, headers: { "X-Frame-Options": "deny" }, users: new Map([["a", "b"]]) };
  const server = await serveMetrics({ ...ANY, web }, { collect: collected(STATUS) }, LOG);
  try {
    const response = await fetch(server.url);
    assert.equal(response.status, 401);
    assert.equal(response.headers.get("x-frame-options"), "deny");
    assert.match(response.headers.get("www-authenticate") ?? "", /^Basic realm=/);
  } finally {
    await server.close();
  }
});

test("two readings of an unchanged file are equal", () => {
  using dir = new TempDir();
  const file = writeWebConfig(dir.path, FIRST, ["prom", "secret"]);
  assert.deepEqual(readWebConfig(file), readWebConfig(file));
});
