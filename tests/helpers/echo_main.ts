/** The process behind echo.ts. */
import type { Server } from "node:net";
import type { EchoOptions, EchoStep } from "./echo.ts";
import { listenReuseport } from "./http_echo.ts";

const { port, listeners } = JSON.parse(process.argv[2] ?? "") as EchoOptions;

const start = () =>
  Promise.all(Array.from({ length: listeners }, () => listenReuseport("127.0.0.1", port)));

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
