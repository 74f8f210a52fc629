/** Servers that do not set SO_REUSEPORT, each as its users write it; all answer with the path. */
import { writeFileSync } from "node:fs";
import type { TempDir } from "../helpers/host/child.ts";
import { httpServer } from "../helpers/product/exec.ts";

export interface PlainServer {
  readonly name: string;
  readonly port: number;
  /** For exec. */
  readonly options: readonly string[];
  command(dir: TempDir): string[];
}

/**
 * http.server, which SIGTERM ends at once. Its own backlog of 5 overflows on a busy machine, restarted
 * or not (measured: 136 of 3,257 connections timed out without any restart): not our subject, so
 * this one is above what the load opens at a time.
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

/** As packaged: a master, workers that inherit its listener, no reuseport. */
const NGINX = (port: number) => `
pid nginx.pid;
user root;
worker_processes 2;
events { worker_connections 2048; }
http {
  access_log off;
  client_body_temp_path body;
  proxy_temp_path proxy;
  fastcgi_temp_path fastcgi;
  uwsgi_temp_path uwsgi;
  scgi_temp_path scgi;
  server {
    listen 127.0.0.1:${port};
    location / { return 200 $uri; }
  }
}
`;

export const SERVERS: readonly PlainServer[] = [
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
      writeFileSync(dir.file("nginx.conf"), NGINX(8094));
      return ["nginx", "-p", dir.path, "-c", "nginx.conf", "-e", "log", "-g", "daemon off;"];
    },
  },
];
