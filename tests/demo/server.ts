/**
 * The server of the demo, `server.js PORT`: node:http on a SO_REUSEPORT listener, unaware of
 * reuseport-migrate. On SIGTERM it closes its listener, answers the connections it has accepted,
 * and exits.
 */
import { createServer } from "node:http";
import * as libc from "../../loader/sys/libc.ts";

/** CPU time of a request; enough for connections to queue. */
const WORK_MS = 2;
const ANY_ADDRESS = Buffer.alloc(4);

const type = libc.SOCK_STREAM | libc.SOCK_NONBLOCK | libc.SOCK_CLOEXEC;
const fd = libc.socket(libc.AF_INET, type, 0);
libc.setsockopt(fd, libc.SOL_SOCKET, libc.SO_REUSEPORT, 1);
libc.bind(fd, libc.sockaddr(libc.AF_INET, ANY_ADDRESS, Number(process.argv[2])));
libc.listen(fd, 511);

const server = createServer((request, response) => {
  const end = performance.now() + WORK_MS;
  while (performance.now() < end);
  response.end(request.url);
});
server.listen({ fd }, () => process.send?.("listening"));

process.once("SIGTERM", () => server.close(() => process.exit(0)));
process.on("disconnect", () => process.exit(1));
