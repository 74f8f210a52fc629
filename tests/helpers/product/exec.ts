/** `reuseport-migrate exec` in its own process, as users run it, and the server it runs. */
import { existsSync, readdirSync, readFileSync, rmdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { Child, TempDir } from "../host/child.ts";
import { until } from "../until.ts";
import { BIN } from "./cli.ts";

const MAIN = fileURLToPath(new URL("../servers/ordinary_http_main.js", import.meta.url));

/** Returns the command of an ordinary Node HTTP server, on every address if no `host` is given. */
export const httpServer = (port: number, ...host: string[]) => [
  process.execPath,
  MAIN,
  String(port),
  ...host,
];

export class ExecProcess implements AsyncDisposable {
  readonly child: Child;
  readonly #dir = new TempDir();

  /** @param under a command that starts it, such as `["env", "A=b"]` */
  constructor(args: readonly string[], command: readonly string[], under: readonly string[] = []) {
    const line = [...under, process.execPath, BIN, "exec", ...args, "--", ...command];
    this.child = new Child(line[0] ?? "", line.slice(1), this.#dir.file("log"));
  }

  /** The output of exec and of its server. */
  get output(): string {
    return this.child.output();
  }

  /** Waits until exec or its server has written `text`. */
  async wrote(text: string): Promise<void> {
    await this.child.until(`'${text}' is written`, () => this.output.includes(text));
  }

  /** The directory of its server's cgroup, which exists while a start runs. */
  get cgroup(): string {
    return join(sandboxCgroup(), `reuseport-migrate-exec-${this.child.pid}`);
  }

  /** Returns the pids of its server. */
  processes(): number[] {
    if (!existsSync(this.cgroup)) return [];
    const below = readdirSync(this.cgroup, { recursive: true, encoding: "utf8" });
    return below.filter((name) => name.endsWith("cgroup.procs")).flatMap((name) => this.#in(name));
  }

  #in(procs: string): number[] {
    try {
      const text = readFileSync(join(this.cgroup, procs), "utf8");
      return text.split("\n").filter(Boolean).map(Number);
    } catch {
      return []; // the start has ended, and its cgroup with it
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const { cgroup } = this;
    await this.child.stop("SIGTERM");
    await endCgroup(cgroup);
    this.#dir[Symbol.dispose]();
  }
}

/** Returns the cgroup of the sandbox, below which exec makes its own. */
function sandboxCgroup(): string {
  const path = process.env["SANDBOX_CGROUP"];
  if (!path)
    throw new Error(
      "the sandbox has no cgroup: run this with tests/helpers/sandbox.sh, and mount cgroup v2",
    );
  return path;
}

/** Kills the processes that a killed exec has left, and removes its cgroup. */
async function endCgroup(path: string): Promise<void> {
  if (!existsSync(path)) return;
  writeFileSync(join(path, "cgroup.kill"), "1");
  const populated = () => /^populated 1$/m.test(readFileSync(join(path, "cgroup.events"), "utf8"));
  await until("the cgroup is empty", () => !populated());
  const below = readdirSync(path, { recursive: true, withFileTypes: true });
  for (const entry of below.filter((it) => it.isDirectory()).reverse()) {
    rmdirSync(join(entry.parentPath, entry.name));
  }
  rmdirSync(path);
}

/** Whether the process runs; a zombie does not. */
export function isRunning(pid: number): boolean {
  try {
    return !/^State:\s*[ZX]/m.test(readFileSync(`/proc/${pid}/status`, "utf8"));
  } catch {
    return false;
  }
}

/** Returns the pid of the server that answers on `port` of 127.0.0.1; null if none does. */
export async function whoServes(port: number): Promise<number | null> {
  try {
    const headers = { connection: "close" };
    return Number(await (await fetch(`http://127.0.0.1:${port}/pid`, { headers })).text());
  } catch {
    return null;
  }
}

/** Waits until a process other than `not` answers; returns its pid. */
export function served(port: number, not?: number): Promise<number> {
  return until("another process serves", async () => {
    const pid = await whoServes(port);
    return pid !== null && pid !== not ? pid : null;
  });
}
