/**
 * `ordinary_http_main.js PORT [HOST]`: a node:http server without SO_REUSEPORT that knows nothing
 * of reuseport-migrate. The tests of exec run it (product/exec.ts). It answers a request with its
 * path, `/pid` with its pid, `/slow` after 3 s. SIGTERM ends it at once. Without HOST it listens on
 * every address.
 */
import { createServer } from "node:http";

const SLOW_MS = 3_000;

const [, , port, host] = process.argv;
createServer((request, response) => {
  const answer = request.url === "/pid" ? String(process.pid) : request.url;
  setTimeout(() => response.end(answer), request.url === "/slow" ? SLOW_MS : 0);
}).listen(Number(port), host);
