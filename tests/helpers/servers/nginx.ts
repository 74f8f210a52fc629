/** nginx with one reuseport listener a worker: fewer workers after a reload, fewer listeners. */
import { writeFileSync } from "node:fs";
import { Child, started, TempDir } from "../host/child.ts";
import { childrenOf, ended } from "../host/processes.ts";
import { visit } from "../load/client.ts";
import { until } from "../until.ts";

/** Returns an nginx.conf; each of `listen` is the rest of one `listen` line. */
export function nginxConfig(listen: readonly string[], workers: number): string {
  return `daemon off;
pid nginx.pid;
user root;
worker_processes ${workers};
events { worker_connections 2048; }
http {
  access_log off;
  client_body_temp_path body;
  proxy_temp_path proxy;
  fastcgi_temp_path fastcgi;
  uwsgi_temp_path uwsgi;
  scgi_temp_path scgi;
  server {
${listen.map((words) => `    listen ${words};`).join("\n")}
    location / { return 200 $uri; }
  }
}
`;
}

/** Returns the arguments of an nginx whose files are all in `directory`. */
export function nginxArgs(directory: string): string[] {
  return ["-p", directory, "-c", "nginx.conf", "-e", "log"];
}

export interface NginxOptions {
  readonly port: number;
  readonly workers: number;
  /** Further ports of the same workers, each with its own group. */
  readonly ports?: readonly number[];
  /** A command that starts it, such as `["taskset", "-c", "1"]`. */
  readonly under?: readonly string[];
}

export class Nginx implements AsyncDisposable {
  readonly port: number;
  readonly #ports: readonly number[];
  readonly #dir = new TempDir();
  readonly #master: Child;

  private constructor({ port, workers, ports = [], under = [] }: NginxOptions) {
    this.port = port;
    this.#ports = [port, ...ports];
    this.#configure(workers);
    const [command = "", ...args] = [...under, "nginx", ...nginxArgs(this.#dir.path)];
    this.#master = new Child(command, args, this.#dir.file("log"));
  }

  static async start(options: NginxOptions): Promise<Nginx> {
    const { port } = options;
    const nginx = new Nginx(options);
    const path = "/ready";
    const serves = async () => (await visit({ port, path })) === "ok";
    return started(nginx, nginx.#master.until("it serves", serves));
  }

  /** Reloads it; returns when every old worker has exited, and so closed its listeners. */
  async reload(workers: number): Promise<void> {
    const old = new Set(this.#workers());
    this.#configure(workers);
    this.#master.kill("SIGHUP");
    await this.#master.until("all workers are new", () => {
      const now = this.#workers();
      return now.length === workers && !now.some((pid) => old.has(pid));
    });
  }

  #workers(): number[] {
    return childrenOf(this.#master.pid);
  }

  #configure(workers: number): void {
    const listen = this.#ports.map((port) => `127.0.0.1:${port} reuseport`);
    const config = nginxConfig(listen, workers);
    writeFileSync(this.#dir.file("nginx.conf"), config);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const workers = this.#master.running ? this.#workers() : [];
    // On SIGTERM the master ends its workers; on SIGKILL they would stay.
    await this.#master.stop("SIGTERM");
    await until("the workers of nginx have exited", () => workers.every(ended));
    this.#dir[Symbol.dispose]();
  }
}
