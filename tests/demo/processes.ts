/**
 * The processes of the demo. They end by {@link endAll}, or when their channel to the demo closes.
 */
import { type ChildProcess, fork, spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

const BIN = fileURLToPath(new URL("../../cli/bin.js", import.meta.url));
const alive = new Set<ChildProcess>();

function own(child: ChildProcess): ChildProcess {
  alive.add(child);
  child.once("exit", () => alive.delete(child));
  return child;
}

export function endAll(): void {
  for (const child of alive) child.kill("SIGKILL");
}

export class Server {
  readonly #child: ChildProcess;

  private constructor(port: number) {
    this.#child = own(fork(new URL("./server.js", import.meta.url), [String(port)]));
  }

  /** Starts a server; returns when it listens. */
  static async start(port: number): Promise<Server> {
    const server = new Server(port);
    const exited = once(server.#child, "exit").then(() => "exited");
    const listening = once(server.#child, "message");
    if ((await Promise.race([listening, exited])) === "exited") throw new Error("the server ended");
    return server;
  }

  /** Stops it; returns when it has answered the connections it had accepted. */
  async stop(): Promise<void> {
    const exit = once(this.#child, "exit");
    this.#child.kill("SIGTERM");
    await exit;
  }
}

export class Sidecar {
  readonly #child: ChildProcess;
  #ready = "";

  private constructor(args: readonly string[]) {
    const stdio = ["ignore", "pipe", "pipe"] as const;
    this.#child = own(spawn(process.execPath, [BIN, "attach", ...args], { stdio: [...stdio] }));
  }

  /** Starts `attach ARGS`; returns when it prints READY. */
  static async attach(...args: string[]): Promise<Sidecar> {
    const sidecar = new Sidecar(args);
    const { stdout, stderr } = sidecar.#child;
    if (!stdout || !stderr) throw new Error("the sidecar has no output");
    let log = "";
    stderr.setEncoding("utf8").on("data", (text: string) => {
      log += text;
    });
    for await (const line of createInterface({ input: stdout })) {
      if (!line.startsWith("READY")) continue;
      sidecar.#ready = line;
      stdout.resume();
      return sidecar;
    }
    throw new Error(`the sidecar did not start:\n${log}`);
  }

  /** Returns its metrics. */
  async metrics(): Promise<string> {
    const url = /metrics=(\S+)/.exec(this.#ready)?.[1];
    if (!url) throw new Error(`no address of /metrics in: ${this.#ready}`);
    return (await fetch(url)).text();
  }

  async stop(): Promise<void> {
    const exit = once(this.#child, "exit");
    this.#child.kill("SIGTERM");
    const [code, signal] = await exit;
    if (code !== 0) throw new Error(`the sidecar ended with ${code ?? signal}`);
  }
}
