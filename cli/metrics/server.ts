/** The /metrics endpoint. */
import { createServer } from "node:http";
import { isIP } from "node:net";
import { ConflictError } from "../../loader/errors.ts";
import type { StoreServer } from "../../loader/store/server.ts";
import type { MetricsAddress } from "../options/metrics_address.ts";
import { type Collect, Exporter } from "./exporter.ts";
import { CONTENT_TYPE } from "./families.ts";
import { StoreMetrics } from "./store_metrics.ts";

/** A client that receives nothing for this long, ms, is disconnected, which frees the text. */
const STALLED_MS = 30_000;

export interface MetricsServer {
  readonly url: string;
  close(): Promise<void>;
}

/** A sidecar's parts as /metrics needs them. */
export interface MetricsSource {
  readonly collect: Collect;
  /** Returns the sidecar's store; null if it runs none. */
  store?(): Pick<StoreServer, "status"> | null;
  warn(text: string): void;
}

/**
 * Serves /metrics of a sidecar: its status at each scrape, and that of its store.
 * @throws ConflictError if the address is taken
 */
export function serveMetrics(
  address: MetricsAddress,
  source: MetricsSource,
): Promise<MetricsServer> {
  const exporter = new Exporter({ process: true, warn: source.warn });
  const metrics = new StoreMetrics();
  return serveText(address, async () => {
    const store = source.store?.();
    // First: an error of the store is counted in the text of the groups.
    const stored = store && exporter.attempt("the store", () => metrics.text(store.status()));
    return (await exporter.scrape(source.collect)) + (stored ?? "");
  });
}

/** Serves the text of `scrape` as /metrics. @throws ConflictError if the address is taken */
export async function serveText(
  address: MetricsAddress,
  scrape: () => string | Promise<string>,
): Promise<MetricsServer> {
  const server = createServer(async (request, response) => {
    const path = request.url?.split("?")[0];
    if (request.method !== "GET" && request.method !== "HEAD") {
      response.writeHead(405, { allow: "GET, HEAD" }).end();
    } else if (path !== "/metrics") {
      const found = path === "/" ? 200 : 404;
      response.writeHead(found, { "content-type": "text/plain" }).end("see /metrics\n");
    } else {
      try {
        const text = await scrape();
        response.writeHead(200, { "content-type": CONTENT_TYPE }).end(text);
      } catch (error) {
        response.writeHead(500, { "content-type": "text/plain" }).end(`${error}\n`);
      }
    }
  });
  server.setTimeout(STALLED_MS);
  await new Promise<void>((resolve, reject) => {
    server.once("error", (error: NodeJS.ErrnoException) => {
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
    url: `http://${host}:${port}/metrics`,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}
