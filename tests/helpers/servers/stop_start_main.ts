/**
 * An ordinary Node server, `stop_start_main.js PORT ADDRESS...`. It says of each connection that it has
 * accepted it. On SIGTERM it accepts no more, answers whom it has, and exits.
 */
import { writeSync } from "node:fs";
import { listenReuseport } from "./http_echo.ts";

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
