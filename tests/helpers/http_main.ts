/** The server nobody has to change: answers with the path, and `/pid` with who it is; SIGTERM ends it at once. */
import { createServer } from "node:http";

const [, , port, host = "127.0.0.1"] = process.argv;
createServer((request, response) => {
  response.end(request.url === "/pid" ? String(process.pid) : request.url);
}).listen(Number(port), host);
