/**
 * A server that takes its listener from the store by itself, without `store exec`:
 *
 *     reuseport-migrate store --listen /run/fds.sock &
 *     node fd_store.mjs /run/fds.sock :8080
 *
 * The first start opens the listener and deposits it, every other one gets it back with whoever
 * waits in its queue. While this process lives the store's time does not run.
 */
import { createServer } from "node:http";
import { FdStore } from "reuseport-migrate";

const [, , path, where = ":8080"] = process.argv;
const store = await FdStore.connect(path, (_event, text) => console.error(text));
const fd = await store.listen("web", where);

const server = createServer((request, response) => {
  response.end(request.url === "/pid" ? String(process.pid) : request.url);
});
server.listen({ fd });

process.on("SIGTERM", () => {
  // Finish what was accepted; the listener is the store's until the next one asks for it.
  server.close(() => store.close());
});
