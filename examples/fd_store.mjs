/**
 * A server that takes its listener from the store itself, without `store exec`:
 *
 *     reuseport-migrate store --listen /run/fds.sock &
 *     node fd_store.mjs /run/fds.sock :8080
 *
 * The first start opens the listener and deposits it. Every later start gets it back, with the
 * connections in its accept queue. The store's timeout starts when this process ends.
 */
import { createServer } from "node:http";
import { FdStore } from "reuseport-migrate/store";

const [, , path, where = ":8080"] = process.argv;
const store = await FdStore.connect(path, (_event, text) => console.error(text));
const fd = await store.listen("web", where);

const server = createServer((request, response) => {
  response.end(request.url === "/pid" ? String(process.pid) : request.url);
});
server.listen({ fd });

process.on("SIGTERM", () => {
  // Finishes accepted connections. The store keeps the listener for the next start.
  server.close(() => store.close());
});
