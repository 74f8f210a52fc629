/**
 * A plain Node server that accepts a listener from systemd or `store exec` (sd_listen_fds(3)):
 *
 *     reuseport-migrate store --listen /run/fds.sock &
 *     reuseport-migrate store exec --store /run/fds.sock --name web --tcp :8080 -- node listen_fds.mjs
 *
 * After a stop or a kill, clients wait in the listener's accept queue until the next start. Without
 * systemd and store it listens on PORT.
 */
import { createServer } from "node:http";

const server = createServer((request, response) => {
  response.end(request.url === "/pid" ? String(process.pid) : request.url);
});

const inherited = process.env.LISTEN_PID === String(process.pid) && process.env.LISTEN_FDS === "1";
server.listen(inherited ? { fd: 3 } : { port: Number(process.env.PORT ?? 8080) });

// Closes this process's descriptor of the listener; the store's keeps it listening.
process.on("SIGTERM", () => server.close());
