/**
 * The server nobody has to change: answers with the path, `/pid` with who it is, `/slow` after a
 * while; SIGTERM ends it at once. Without a host it listens as most do: on every address.
 */
import { createServer } from "node:http";

const SLOW_MS = 3_000;

const [, , port, host] = process.argv;
createServer((request, response) => {
  const answer = request.url === "/pid" ? String(process.pid) : request.url;
  setTimeout(() => response.end(answer), request.url === "/slow" ? SLOW_MS : 0);
}).listen(Number(port), host);
