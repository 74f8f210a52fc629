/** The /metrics endpoint. */
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { isIP } from "node:net";
import { ConflictError } from "../../loader/errors.ts";
import type { StoreServer } from "../../loader/store/server.ts";
import type { MetricsAddress } from "../options/metrics_address.ts";
import { type LastingLog, warning } from "../output/log.ts";
import type { BasicAuth } from "./basic_auth.ts";
import { limitConnections, MAX_CONNECTIONS } from "./connection_limit.ts";
import { type Collect, Exporter } from "./exporter.ts";
import { Families } from "./families.ts";
import { notationFor } from "./notation.ts";
import { StoreMetrics } from "./store_metrics.ts";

/** A client that receives nothing for this long, ms, is disconnected, which frees the text. */
const STALLED_MS = 30_000;
/**
 * Bounds (ms, bytes) for clients that send slowly, nothing, or too much. The check of them wakes an
 * idle sidecar, too (bench row 14).
 */
const LIMITS = {
  headersTimeout: 5_000,
  requestTimeout: 5_000,
  keepAliveTimeout: 5_000,
  connectionsCheckingInterval: 5_000,
  maxHeaderSize: 8_192,
} as const;
/** A client that has not finished its TLS handshake after this, ms, is disconnected. */
const HANDSHAKE_MS = 5_000;
/** Between two warnings of one kind, ms. */
const WARNING_MS = 600_000;

export interface MetricsServer {
  readonly url: string;
  close(): Promise<void>;
}

/** Loads further paths, and what answers for them. */
export type LoadRoutes = () => Promise<
  ReadonlyMap<string, (request: IncomingMessage, response: ServerResponse) => void | Promise<void>>
>;

/** A sidecar's parts as /metrics needs them. */
export interface MetricsSource {
  readonly collect: Collect;
  /** Returns the sidecar's store; null if it runs none. */
  store?(): Pick<StoreServer, "status"> | null;
}

/**
 * Serves /metrics of a sidecar: its status at each scrape, and that of its store.
 * @throws ConflictError if the address is taken
 */
export function serveMetrics(
  address: MetricsAddress,
  source: MetricsSource,
  log: LastingLog,
  page?: LoadRoutes,
): Promise<MetricsServer> {
  const exporter = new Exporter({ process: true, warn: warningsTo(log) });
  const metrics = new StoreMetrics();
  const scrape = async () => {
    const store = source.store?.();
    // First: an error of the store is counted in the text of the groups.
    const stored = store && exporter.attempt("the store", () => metrics.text(store.status()));
    return (await exporter.scrape(source.collect)) + (stored ?? "");
  };
  return serveText(address, scrape, log, page);
}

/** Returns a function that passes a text on, unless it did so a short time ago. */
function rarely(warn: (text: string) => void): (text: string) => void {
  let warnedMs = Number.NEGATIVE_INFINITY;
  return (text) => {
    if (performance.now() - warnedMs < WARNING_MS) return;
    warnedMs = performance.now();
    warn(text);
  };
}

const warningsTo =
  ({ log }: LastingLog) =>
  (text: string) =>
    log(warning("metrics", text));

function droppedText(connections: number, lines: number): string {
  const families = new Families("reuseport_migrate_", [
    [
      "log_lines_dropped_total",
      "counter",
      "Lines of the log that could not be written: the disk was full, or their reader stalled or had gone.",
    ],
    [
      "http_connections_dropped_total",
      "counter",
      `Connections to /metrics that were closed because there were more than ${MAX_CONNECTIONS}.`,
    ],
  ]);
  families.add("log_lines_dropped_total", lines);
  families.add("http_connections_dropped_total", connections);
  return families.take();
}

/** Returns null without users: what is not asked for takes no memory. */
async function passwordsOf(users: ReadonlyMap<string, string>): Promise<BasicAuth | null> {
  if (users.size === 0) return null;
  const { BasicAuth } = await import("./basic_auth.ts");
  const { PasswordChecker } = await import("./password_checker.ts");
  return new BasicAuth(users, new PasswordChecker());
}

/**
 * Serves the text of `scrape` as /metrics, and what else there is.
 * @throws ConflictError if the address is taken
 */
export async function serveText(
  address: MetricsAddress,
  scrape: () => string | Promise<string>,
  log: LastingLog,
  page?: LoadRoutes,
): Promise<MetricsServer> {
  const warn = warningsTo(log);
  const { tls = null, headers = {}, users = new Map() } = address.web ?? {};
  const passwords = await passwordsOf(users);
  const answer = async (request: IncomingMessage, response: ServerResponse) => {
    for (const name in headers) response.setHeader(name, headers[name] ?? "");
    const verdict = (await passwords?.verdict(request.headers.authorization)) ?? "allowed";
    if (verdict === "refused") {
      const challenge = 'Basic realm="reuseport-migrate", charset="UTF-8"';
      response.writeHead(401, { "www-authenticate": challenge }).end("a password is required\n");
    } else if (verdict === "busy") {
      response.writeHead(503, { "retry-after": "5" }).end("too many passwords are checked now\n");
    } else await answerTo(request, response);
  };
  const answerTo = async (request: IncomingMessage, response: ServerResponse) => {
    const path = request.url?.split("?")[0];
    if (request.method !== "GET" && request.method !== "HEAD") {
      // Its body is not read.
      response.writeHead(405, { allow: "GET, HEAD", connection: "close" }).end();
      return;
    }
    try {
      if (path === "/metrics") {
        const text = await scrape();
        const { contentType, write } = notationFor(request.headers.accept);
        response.writeHead(200, { "content-type": contentType });
        response.end(write(text + droppedText(connections.dropped, log.droppedLines())));
      } else {
        const route = (await page?.())?.get(path ?? "");
        if (route) return void (await route(request, response));
        const found = path === "/" ? 200 : 404;
        response.writeHead(found, { "content-type": "text/plain" }).end("see /metrics\n");
      }
    } catch (error) {
      if (response.headersSent) response.destroy();
      else response.writeHead(500, { "content-type": "text/plain" }).end(`${error}\n`);
    }
  };
  const server = tls
    ? (await import("node:https")).createServer(
        { ...LIMITS, handshakeTimeout: HANDSHAKE_MS, ...tls },
        answer,
      )
    : createServer(LIMITS, answer);
  server.setTimeout(STALLED_MS);
  const atLimit = `/metrics has ${MAX_CONNECTIONS} connections, its limit: those that are idle longest are closed`;
  const reached = rarely(warn);
  const connections = limitConnections(server, () => reached(atLimit));
  const refused = rarely(warn);
  await new Promise<void>((resolve, reject) => {
    server.on("error", (error: NodeJS.ErrnoException) => {
      if (server.listening) refused(`/metrics could not accept a client: ${error.message}`);
      reject(
        new ConflictError(
          `/metrics cannot be served on ${address.host}:${address.port} (${error.code}): give another address with --metrics, or 'off'`,
          { cause: error },
        ),
      );
    });
    server.listen(address.port, address.host, resolve);
  });
  const bound = server.address();
  const port = typeof bound === "object" && bound ? bound.port : address.port;
  const host = isIP(address.host) === 6 ? `[${address.host}]` : address.host;
  return {
    url: `${tls ? "https" : "http"}://${host}:${port}/metrics`,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        connections.close();
        passwords?.close();
      }),
  };
}
