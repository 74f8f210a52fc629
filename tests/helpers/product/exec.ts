/** `reuseport-migrate exec` as its users run it, in a process of its own. */
import { existsSync, readdirSync, readFileSync, rmdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { Child, TempDir } from "../host/child.ts";
import { until } from "../until.ts";

const BIN = fileURLToPath(new URL("../../../cli/bin.js", import.meta.url));
const MAIN = fileURLToPath(new URL("../servers/exec_server_main.js", import.meta.url));

/** A plain Node HTTP server; without `host` on every address. */
export const httpServer = (port: number, ...host: string[]) => [
  process.execPath,
  MAIN,
  String(port),
  ...host,
];

export class ExecProcess implements AsyncDisposable {
  readonly child: Child;
  readonly #dir = new TempDir();

  /** @param under a command to start it with, such as `["env", "A=b"]` */
  constructor(args: readonly string[], command: readonly string[], under: readonly string[] = []) {
    const line = [...under, process.execPath, BIN, "exec", ...args, "--", ...command];
    this.child = new Child(line[0] ?? "", line.slice(1), this.#dir.file("log"));
  }

  /** What it and its server wrote. */
  get output(): string {
    return this.child.output();
  }

  /** Waits until it or its server has written so. */
  async wrote(text: string): Promise<void> {
    await this.child.until(`'${text}' is written`, () => this.output.includes(text));
  }

  /** Its server's cgroup, while there is one. */
  get cgroup(): string {
    return join(sandboxCgroup(), `reuseport-migrate-exec-${this.child.pid}`);
  }

  /** The processes of its server. */
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
      return []; // its start ended, and the cgroup is gone
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const { cgroup } = this;
    await this.child.stop("SIGTERM");
    await endCgroup(cgroup);
    this.#dir[Symbol.dispose]();
  }
}

/** The sandbox's: exec makes its own below it. */
function sandboxCgroup(): string {
  const path = process.env["SANDBOX_CGROUP"];
  if (!path) throw new Error("this wants tests/helpers/sandbox.sh and cgroup v2");
  return path;
}

/** Ends what an exec that was killed left running, and removes its cgroup. */
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

/** Whether the process is there; a zombie, which waits for its parent only, is not. */
export function isRunning(pid: number): boolean {
  try {
    return !/^State:\s*[ZX]/m.test(readFileSync(`/proc/${pid}/status`, "utf8"));
  } catch {
    return false;
  }
}

/** Who answers on `port` of 127.0.0.1; null: nobody. */
export async function whoServes(port: number): Promise<number | null> {
  try {
    const headers = { connection: "close" };
    return Number(await (await fetch(`http://127.0.0.1:${port}/pid`, { headers })).text());
  } catch {
    return null;
  }
}

/** Waits until another process than `not` answers; returns its pid. */
export function served(port: number, not?: number): Promise<number> {
  return until("another process serves", async () => {
    const pid = await whoServes(port);
    return pid !== null && pid !== not ? pid : null;
  });
}
