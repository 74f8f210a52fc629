/**
 * The process of {@link ReloadingServer}: takes its options as JSON, then a {@link ReloadStep} a
 * message.
 */
import type { Server } from "node:net";
import type { ReloadingServerOptions, ReloadStep } from "./reloading_server.ts";
import { listenReuseport } from "./reuseport_http.ts";

const {
  port,
  ports = [],
  hosts = ["127.0.0.1"],
  listeners,
  stallMs = 0,
  mptcp = false,
} = JSON.parse(process.argv[2] ?? "") as ReloadingServerOptions;

const start = () => {
  const endpoints = [port, ...ports].flatMap((each) => hosts.map((host) => ({ host, port: each })));
  const all = Array.from({ length: listeners }, () => endpoints).flat();
  return Promise.all(all.map((each) => listenReuseport(each.host, each.port, mptcp)));
};
const stall = () => Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, stallMs);

let servers = await start();
let old: Server[] = [];
process.send?.("serving");
process.on("disconnect", () => process.exit());
process.on("message", async (step: ReloadStep) => {
  if (step === "open") {
    old = servers;
    servers = await start();
  } else {
    if (stallMs > 0) stall();
    for (const server of old) server.close();
  }
  process.send?.(step);
});
