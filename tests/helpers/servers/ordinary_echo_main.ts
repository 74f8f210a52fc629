/**
 * `ordinary_echo_main.js PORT HOST`: a Node server without SO_REUSEPORT that speaks {@link Peer}'s
 * protocol. The tests of --adopt start it as the kind "echo" of ordinary_servers.ts.
 */
import { createServer } from "node:net";
import { echoWithPid } from "./pid_echo.ts";

const [, , port, host] = process.argv;

createServer(echoWithPid)
  .on("error", ({ code }: NodeJS.ErrnoException) => console.log(code))
  .listen(Number(port), host, () => console.log("listening"));
