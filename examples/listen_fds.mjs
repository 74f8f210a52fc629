/**
 * A plain Node server that can be handed its listener, as systemd and `store exec` do it:
 *
 *     reuseport-migrate store --listen /run/fds.sock &
 *     reuseport-migrate store exec --store /run/fds.sock --name web --tcp :8080 -- node listen_fds.mjs
 *
 * It may be stopped and started, or killed and started: who connects meanwhile waits in the
 * listener's queue. Without any of that it listens on PORT by itself.
 */
import { createServer } from "node:http";

const server = createServer((request, response) => {
  response.end(request.url === "/pid" ? String(process.pid) : request.url);
});

const inherited = process.env.LISTEN_PID === String(process.pid) && process.env.LISTEN_FDS === "1";
server.listen(inherited ? { fd: 3 } : { port: Number(process.env.PORT ?? 8080) });

// The queue stays: closing ours of the listener's descriptors ends our accepting, not the listening.
process.on("SIGTERM", () => server.close());
