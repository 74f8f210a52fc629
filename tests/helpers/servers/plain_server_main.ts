/** An ordinary Node server: answers a line with its process's id and the same line. */
import { createServer } from "node:net";

const [, , port, host] = process.argv;

createServer((socket) => {
  let text = "";
  socket.setEncoding("utf8");
  socket.on("data", (chunk: string) => {
    text += chunk;
    if (text.endsWith("\n")) socket.write(`${process.pid} ${text}`);
  });
  socket.on("error", () => {}); // the client says what it lost
})
  .on("error", ({ code }: NodeJS.ErrnoException) => console.log(code))
  .listen(Number(port), host, () => console.log("listening"));
