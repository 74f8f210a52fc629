/**
 * Servers for the tests of exec, which do not set SO_REUSEPORT; all answer a request with its path.
 */
import { writeFileSync } from "node:fs";
import type { TempDir } from "../helpers/host/child.ts";
import { httpServer } from "../helpers/product/exec.ts";
import { nginxArgs, nginxConfig } from "../helpers/servers/nginx.ts";

export interface OrdinaryServer {
  readonly name: string;
  readonly port: number;
  /** Options of exec. */
  readonly options: readonly string[];
  command(dir: TempDir): string[];
}

/**
 * http.server, which SIGTERM ends at once. Its default backlog of 5 overflows on a busy machine
 * even without a restart (measured: 136 of 3,257 connections timed out), so this backlog exceeds
 * the load's concurrency.
 */
const THREADING = (port: number) => `
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_GET(self):
        body = self.path.encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *args):
        pass
ThreadingHTTPServer.request_queue_size = 512
ThreadingHTTPServer(("127.0.0.1", ${port}), Handler).serve_forever()
`;

const ASYNCIO = (port: number) => `
import asyncio
async def answer(reader, writer):
    request = await reader.readuntil(b"\\r\\n\\r\\n")
    body = request.split()[1]
    writer.write(b"HTTP/1.1 200 OK\\r\\nContent-Length: %d\\r\\n\\r\\n%s" % (len(body), body))
    await writer.drain()
    writer.close()
async def main():
    server = await asyncio.start_server(answer, "127.0.0.1", ${port}, backlog=512)
    await server.serve_forever()
asyncio.run(main())
`;

export const SERVERS: readonly OrdinaryServer[] = [
  { name: "Node http", port: 8091, options: [], command: () => httpServer(8091, "127.0.0.1") },
  {
    name: "Python http.server",
    port: 8092,
    options: [],
    command: () => ["python3", "-c", THREADING(8092)],
  },
  {
    name: "Python asyncio",
    port: 8093,
    options: [],
    command: () => ["python3", "-c", ASYNCIO(8093)],
  },
  {
    name: "nginx",
    port: 8094,
    options: ["--stop-signal", "SIGQUIT"],
    command: (dir) => {
      // As packaged: the workers inherit the listener of their master.
      writeFileSync(dir.file("nginx.conf"), nginxConfig(["127.0.0.1:8094"], 2));
      return ["nginx", ...nginxArgs(dir.path)];
    },
  },
];
