/** The line protocol of {@link Peer}: a server answers a line with its pid and the same line. */
import type { Socket } from "node:net";

/** Answers each line of one connection. */
export function echoWithPid(socket: Socket): void {
  let text = "";
  socket.setEncoding("utf8");
  socket.on("data", (chunk: string) => {
    text += chunk;
    if (text.endsWith("\n")) socket.write(`${process.pid} ${text}`);
  });
  socket.on("error", () => {}); // the client reports a loss
}
