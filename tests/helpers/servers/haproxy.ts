/**
 * HAProxy, reloaded with -sf: a new process binds, then tells the old process to finish. Without -x
 * no listener is handed over.
 */
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { constants } from "node:os";
import { Child, started, TempDir } from "../host/child.ts";
import { visit } from "../load/client.ts";

export interface HaproxyOptions {
  port: number;
  threads: number;
  /** Further ports, each with its own group. */
  ports?: readonly number[];
  /** More words of each bind line, such as `shards by-thread`. */
  bind?: string;
}

/** Returns a configuration; each of `bind` is the rest of one `bind` line. */
export function haproxyConfig(bind: readonly string[], threads: number): string {
  return `global
  nbthread ${threads}
  maxconn 4000
defaults
  mode http
  timeout client 30s
  timeout connect 30s
  timeout server 30s
  # Usual where HAProxy is reloaded: a soft stop lets idle connections finish.
  option idle-close-on-response
frontend echo
${bind.map((words) => `  bind ${words}`).join("\n")}
  http-request return status 200 content-type text/plain lf-string %[path]
`;
}

export class Haproxy implements AsyncDisposable {
  readonly port: number;
  readonly #dir = new TempDir();
  /** The newest is last; the others are finishing. */
  readonly #processes: Child[] = [];

  private constructor({ port, threads, ports = [], bind = "" }: HaproxyOptions) {
    this.port = port;
    const binds = [port, ...ports].map((each) => `127.0.0.1:${each} ${bind}`);
    const config = haproxyConfig(binds, threads);
    writeFileSync(this.#dir.file("haproxy.cfg"), config);
  }

  static async start(options: HaproxyOptions): Promise<Haproxy> {
    const haproxy = new Haproxy(options);
    const child = haproxy.#spawn([]);
    const path = "/ready";
    const serves = async () => (await visit({ port: options.port, path })) === "ok";
    return started(haproxy, child.until("it serves", serves));
  }

  /**
   * Reloads it; returns when the old process has closed its listeners, served its connections and
   * exited. With `behind` the old process accepts nothing from the start of the reload until it is
   * told to finish, so that connections are queued on the listeners it closes.
   */
  async reload({ behind = false } = {}): Promise<void> {
    const old = this.#processes.at(-1);
    if (!old) throw new Error("haproxy was not started");
    if (behind) old.kill("SIGSTOP");
    const next = this.#spawn(["-sf", String(old.pid)]);
    if (behind) {
      await next.until("the old process is told to finish", () => finishPending(old.pid));
      old.kill("SIGCONT");
    }
    await Promise.race([
      old.exited,
      next.exited.then(() => {
        throw new Error(`the new haproxy ended:\n${next.output()}`);
      }),
    ]);
  }

  /**
   * Returns a command that reloads it and exits once the new process, a daemon, has told the old to
   * finish.
   */
  reloadCommand(): string[] {
    const [daemon = this.#processes.at(-1)?.pid] = this.#daemon();
    const config = this.#dir.file("haproxy.cfg");
    return ["haproxy", "-D", "-f", config, "-p", this.#pidFile, "-sf", String(daemon)];
  }

  get #pidFile(): string {
    return this.#dir.file("haproxy.pid");
  }

  /** The pid of the daemon that {@link reloadCommand} started, if any. */
  #daemon(): number[] {
    if (!existsSync(this.#pidFile)) return [];
    return readFileSync(this.#pidFile, "utf8").split("\n").filter(Boolean).map(Number);
  }

  #spawn(args: string[]): Child {
    const config = this.#dir.file("haproxy.cfg");
    const child = new Child("haproxy", ["-db", "-f", config, ...args], this.#dir.file("log"));
    this.#processes.push(child);
    return child;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const pid of this.#daemon()) process.kill(pid, "SIGKILL");
    for (const child of this.#processes) await child[Symbol.asyncDispose]();
    this.#dir[Symbol.dispose]();
  }
}

/** Whether SIGUSR1, by which -sf tells a process to finish, is pending for a stopped process. */
function finishPending(pid: number): boolean {
  const pending = /^ShdPnd:\s*(\w+)$/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1];
  return (Number.parseInt(pending ?? "0", 16) & (1 << (constants.signals.SIGUSR1 - 1))) !== 0;
}
