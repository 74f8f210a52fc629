/** The /metrics endpoint. */
import { createServer } from "node:http";
import { isIP } from "node:net";
import { ConflictError } from "../../loader/errors.ts";
import type { StoreServer } from "../../loader/store/server.ts";
import type { MetricsAddress } from "../options/metrics_address.ts";
import { Exporter, type StatusSource } from "./exporter.ts";
import { StoreExporter } from "./store_metrics.ts";

/** A client that takes nothing for so long, ms, is let go of, and the text with it. */
const STALLED_MS = 30_000;

export interface MetricsServer {
  readonly url: string;
  close(): Promise<void>;
}

/**
 * Serves /metrics, from the status at the time of each scrape; the store's too, while there is one.
 * @throws ConflictError when the address is taken
 */
export function serveMetrics(
  address: MetricsAddress,
  status: StatusSource,
  store: () => StoreServer | null = () => null,
): Promise<MetricsServer> {
  const exporter = new Exporter({ process: true });
  const storeExporter = new StoreExporter({ process: false });
  return serveText(address, exporter.contentType, async () => {
    const text = await exporter.scrape(status);
    const running = store();
    return running ? text + (await storeExporter.scrape(() => running.status())) : text;
  });
}

/** Serves what `scrape` says as /metrics. @throws ConflictError when the address is taken */
export async function serveText(
  address: MetricsAddress,
  contentType: string,
  scrape: () => Promise<string>,
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
        response.writeHead(200, { "content-type": contentType }).end(text);
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
          `/metrics cannot be served on ${address.host}:${address.port} (${error.code}): name another with --metrics, or 'off'`,
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
