/** The process behind echo.ts. Node 20 cannot set SO_REUSEPORT, so its listeners are made by hand. */
import { createServer, type Server, type Socket } from "node:net";
import * as libc from "../../loader/sys/libc.ts";
import { socketAddress } from "./address.ts";
import type { EchoOptions, EchoStep } from "./echo.ts";

const { port, listeners } = JSON.parse(process.argv[2] ?? "") as EchoOptions;

/** Sends the path of the request back and closes. */
function answer(socket: Socket): void {
  let request = "";
  socket.setEncoding("latin1");
  socket.on("error", () => {}); // the client says what it lost
  socket.on("data", (chunk: string) => {
    request += chunk;
    if (!request.endsWith("\r\n\r\n")) return;
    const path = request.split(" ", 2)[1] ?? "";
    socket.end(`HTTP/1.1 200 OK\r\nContent-Length: ${path.length}\r\n\r\n${path}`);
  });
}

function open(): Promise<Server> {
  const type = libc.SOCK_STREAM | libc.SOCK_CLOEXEC | libc.SOCK_NONBLOCK;
  const fd = libc.socket(libc.AF_INET, type, 0);
  libc.setsockopt(fd, libc.SOL_SOCKET, libc.SO_REUSEPORT, 1);
  libc.bind(fd, socketAddress("127.0.0.1", port));
  const server = createServer(answer);
  return new Promise((resolve) => server.listen({ fd }, () => resolve(server)));
}

const start = () => Promise.all(Array.from({ length: listeners }, open));

let servers = await start();
let old: Server[] = [];
process.send?.("serving");
process.on("disconnect", () => process.exit());
process.on("message", async (step: EchoStep) => {
  if (step === "open") {
    old = servers;
    servers = await start();
  } else {
    for (const server of old) server.close();
  }
  process.send?.(step);
});
