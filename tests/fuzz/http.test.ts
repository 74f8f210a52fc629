/** Requests to /metrics: each is answered or its connection is closed, and scrapes go on. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { connect } from "node:net";
import { after } from "node:test";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { collected } from "../../cli/metrics/exporter.ts";
import { serveMetrics } from "../../cli/metrics/server.ts";
import { groupStatus, statusOf } from "../helpers/fixtures.ts";
import { openFds } from "../helpers/host/fds.ts";
import type { Random } from "../helpers/random.ts";
import { fuzz } from "./fuzz.ts";
import { mutateText } from "./mutate.ts";

setFlagsFromString("--expose-gc");
const collectGarbage = runInNewContext("gc") as () => void;

const warnings: string[] = [];
const server = await serveMetrics(
  { host: "127.0.0.1", port: 0 },
  { collect: collected(statusOf([groupStatus()], 0)) },
  { log: ({ text }) => warnings.push(text), droppedLines: () => 0, written: async () => {} },
);
after(() => server.close());
const port = Number(new URL(server.url).port);

const METHODS = ["GET", "HEAD", "POST", "OPTIONS", "CONNECT", "PRI", "get", "TRACE", ""];
const PATHS = [
  ...[
    "/metrics",
    "/metrics?x=1",
    "/",
    "/other",
    "*",
    "//",
    "http://a/metrics",
    "/%00",
    "/%",
    "/%zz",
    "/metrics?%",
    "/metrics/",
  ],
  ...["/../../etc/passwd", "/metrics#a", "/\u00e9", "", "/".repeat(9_000)],
];
const HEADERS = [
  ...["Host: x", "Host:", "Connection: close", "Connection: keep-alive", "Connection: upgrade"],
  ...["Upgrade: websocket", "Upgrade: h2c", "Expect: 100-continue", "Expect: x", "Accept: */*"],
  ...["Content-Length: 5", "Content-Length: 99999999999999999999", "Content-Length: -1"],
  ...[
    "Transfer-Encoding: chunked",
    "Transfer-Encoding: gzip, chunked",
    "Trailer: a",
    "TE: trailers",
  ],
  ...[
    "Cookie: a",
    " folded",
    ": no name",
    "X: \u0000",
    "Range: bytes=0-",
    "X: ".padEnd(9_000, "y"),
  ],
];
const BODIES = ["", "", "hello", "5\r\nhello\r\n0\r\n\r\n", "ffffffffff\r\n", "0\r\nA: b\r\n\r\n"];
const TOKENS = [
  ...["\r\n", "\n", "\r", " ", "\t", ":", "HTTP/1.1", "HTTP/1.0", "HTTP/2.0", "GET /metrics ", "0"],
  ...["\u0000", "%", "?", "Host: x\r\n", "\r\n\r\n", "chunked", ";", "\u00ff"],
];

function request(random: Random): string {
  const [method, path] = [random.pick(METHODS), random.pick(PATHS)];
  const version = random.oneIn(9)
    ? random.pick(["HTTP/1.0", "HTTP/2.0", "HTTP/9", ""])
    : "HTTP/1.1";
  const headers = random.list(4, () => random.pick(HEADERS));
  const lines = [
    `${method} ${path} ${version}`,
    ...(random.oneIn(9) ? [] : ["Host: a"]),
    ...headers,
  ];
  const text = `${lines.join("\r\n")}\r\n\r\n${random.pick(BODIES)}`;
  return random.oneIn(3) ? mutateText(random, text, TOKENS) : text;
}

/** What one client does: it sends these pieces, and then ends as it likes. */
interface Client {
  readonly pieces: readonly Buffer[];
  readonly end: "ends" | "reads and ends" | "resets" | "destroys";
}

/** Returns a request that the server answers at once. */
function rightRequest(random: Random): string {
  const [method, path] = [random.pick(["GET", "HEAD", "POST"]), random.pick(PATHS.slice(0, 4))];
  const more = random.pick(["", "Accept: */*\r\n", "Connection: close\r\n", "X: y\r\n"]);
  return `${method} ${path} HTTP/1.1\r\nHost: a\r\n${more}\r\n`;
}

function client(random: Random): Client {
  const isRight = random.oneIn(3);
  const text = isRight
    ? Array.from({ length: 1 + random.below(4) }, () => rightRequest(random)).join("")
    : random.list(3, () => (random.oneIn(9) ? noise(random) : request(random))).join("");
  const bytes = Buffer.from(text, "latin1");
  const cuts = random.list(3, () => random.below(bytes.length + 1)).sort((a, b) => a - b);
  const ends = [...cuts, bytes.length];
  return {
    pieces: ends.map((to, i) => bytes.subarray(i === 0 ? 0 : ends[i - 1], to)),
    end: random.oneIn(5)
      ? random.pick(["resets", "destroys"])
      : isRight
        ? "reads and ends"
        : "ends",
  };
}

const noise = (random: Random) => random.bytes(random.below(400)).toString("latin1");

/** Returns everything that the server answered until the connection was closed. */
async function conversation({ pieces, end }: Client): Promise<string> {
  const socket = connect({ port, host: "127.0.0.1", noDelay: true });
  let answer = "";
  socket.setEncoding("latin1").on("data", (text: string) => {
    answer += text;
  });
  socket.on("error", () => {}); // the server may close before everything was sent
  await once(socket, "connect");
  for (const piece of pieces) await new Promise((sent) => socket.write(piece, sent));
  if (end === "reads and ends" && answer === "" && !socket.closed) {
    await Promise.race([once(socket, "data"), once(socket, "close")]);
  }
  if (end === "ends" || end === "reads and ends") socket.end();
  else if (end === "resets") socket.resetAndDestroy();
  else socket.destroy();
  if (!socket.closed) await once(socket, "close");
  return answer;
}

const STATUSES = [100, 200, 400, 404, 405, 408, 413, 417, 431];
/** Everything is compared each time that this many inputs were made. */
const INPUTS = 1_000;
let inputs = 0;
let first: { readonly heap: number; readonly fds: number } | null = null;

async function account(): Promise<void> {
  if (++inputs % 50 !== 0) return;
  const scrape = await fetch(server.url);
  const text = await scrape.text();
  assert.equal(scrape.status, 200);
  assert.match(text, /^reuseport_migrate_groups\{service=":80"\} 1$/m);
  assert.match(text, /collection_errors_total 0$/m);
  assert.deepEqual(warnings, []);
  if (inputs % INPUTS !== 0) return;
  collectGarbage();
  const now = { heap: process.memoryUsage().heapUsed, fds: openFds().length };
  first ??= now;
  assert.ok(now.fds <= first.fds + 2, `${now.fds} descriptors, not ${first.fds}`);
  assert.ok(now.heap < first.heap + 8e6, `${now.heap} bytes of heap, not ${first.heap}`);
}

fuzz("HTTP requests", {
  make: (random) => Array.from({ length: 1 + random.below(3) }, () => client(random)),
  outcomes: ["answered", "closed", "refused"],
  shrinks: false,
  show: (clients) =>
    clients.map(({ pieces, end }) => `${JSON.stringify(pieces.map(String))} ${end}`).join("\n"),
  async check(clients) {
    const answers = await Promise.all(clients.map(conversation));
    await account();
    const found = answers.flatMap((answer) => [
      ...answer.matchAll(/HTTP\/1\.1 (\d+) [A-Za-z ]+\r\n/g),
    ]);
    for (const answer of answers) assert.match(answer, /^(HTTP\/1\.1 \d+ |$)/);
    const statuses = found.map(([, status]) => Number(status));
    for (const status of statuses) assert.ok(STATUSES.includes(status), `status ${status}`);
    if (statuses.includes(200)) return "answered";
    return statuses.length > 0 ? "refused" : "closed";
  },
});
