/** The process behind echo.ts. */
import type { Server } from "node:net";
import { listenReuseport } from "./http_echo.ts";
import type { EchoOptions, EchoStep } from "./reuseport_server.ts";

const {
  port,
  ports = [],
  hosts = ["127.0.0.1"],
  listeners,
  stallMs = 0,
  mptcp = false,
} = JSON.parse(process.argv[2] ?? "") as EchoOptions;

const start = () => {
  const places = [port, ...ports].flatMap((each) => hosts.map((host) => ({ host, each })));
  const all = Array.from({ length: listeners }, () => places).flat();
  return Promise.all(all.map(({ host, each }) => listenReuseport(host, each, mptcp)));
};
const stall = () => Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, stallMs);

let servers = await start();
let old: Server[] = [];
process.send?.("serving");
process.on("disconnect", () => process.exit());
process.on("message", async (step: EchoStep) => {
  if (step === "open") {
    old = servers;
    servers = await start();
  } else {
    if (stallMs > 0) stall();
    for (const server of old) server.close();
  }
  process.send?.(step);
});
