/**
 * `graceful_node_main.js PORT ADDRESS...`: an HTTP server in Node with SO_REUSEPORT. The e2e tests
 * of --hold stop and start it (tests/e2e/restartable_recipes.ts). It prints `accepted PORT` for
 * each connection. On SIGTERM it closes its listeners, answers the connections it has accepted, and
 * exits.
 */
import { writeSync } from "node:fs";
import { listenReuseport } from "./reuseport_http.ts";

const [port, ...addresses] = process.argv.slice(2);
const servers = await Promise.all(
  addresses.map((address) => listenReuseport(address, Number(port))),
);
for (const server of servers) {
  server.on("connection", (socket) => writeSync(1, `accepted ${socket.remotePort}\n`));
}
process.once("SIGTERM", () => {
  for (const server of servers) server.close();
});
