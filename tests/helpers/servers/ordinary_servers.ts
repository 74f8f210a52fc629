/** Ordinary servers, which do not set SO_REUSEPORT, for the tests of --adopt. */
import { fileURLToPath } from "node:url";
import type { Cleanup } from "../cleanup.ts";
import { Child, TempDir } from "../host/child.ts";

const ECHO = fileURLToPath(new URL("./ordinary_echo_main.js", import.meta.url));

const HTTP = `require("node:http").createServer((_, response) => response.end())
  .on("error", ({ code }) => console.log(code))
  .listen(process.argv[1], process.argv[2], () => console.log("listening"))`;

const ASYNCIO = `
import asyncio, sys
async def main():
    server = await asyncio.start_server(lambda _, w: w.close(), sys.argv[2], int(sys.argv[1]))
    print("listening", flush=True)
    await server.serve_forever()
asyncio.run(main())`;

/** Returns the command line of each kind, for a port and a host. */
export const ORDINARY = {
  "node:http": (port: string, host: string) => [process.execPath, "-e", HTTP, port, host],
  "python http.server": (port: string, host: string) => [
    "python3",
    "-u",
    "-m",
    "http.server",
    port,
    "--bind",
    host,
  ],
  "python asyncio": (port: string, host: string) => ["python3", "-c", ASYNCIO, port, host],
  /** Speaks the protocol of Peer. */
  echo: (port: string, host: string) => [process.execPath, ECHO, port, host],
} as const;
export type Ordinary = keyof typeof ORDINARY;

export interface OrdinaryServer {
  /** False if the port was in use. */
  readonly listens: boolean;
  readonly pid: number;
  /** Sends SIGTERM; returns when it has exited. */
  stop(): Promise<void>;
}

/** Starts a server with the command `under`; the scene kills it at its end. */
export async function startOrdinary(
  s: Cleanup & { readonly port: number },
  kind: Ordinary,
  under: readonly string[] = [],
  { host = "127.0.0.1", port = s.port } = {},
): Promise<OrdinaryServer> {
  const dir = new TempDir();
  s.defer(() => dir[Symbol.dispose]());
  const [command = "", ...args] = [...under, ...ORDINARY[kind](String(port), host)];
  const child = new Child(command, args, dir.file("log"));
  s.defer(() => child[Symbol.asyncDispose]());
  const listening = () => /^listening|^Serving HTTP/m.test(child.output());
  const inUse = () =>
    /EADDRINUSE|Address already in use|address already in use/.test(child.output());
  const { pid } = child;
  await Promise.race([
    child.exited,
    child.until("it listens or not", () => listening() || inUse()),
  ]);
  if (!listening() && !inUse()) throw new Error(`${kind} did not start: ${child.output()}`);
  return {
    listens: listening(),
    pid,
    stop: async () => {
      await child.stop();
    },
  };
}
