/** nginx with one reuseport listener a worker: fewer workers after a reload, fewer listeners. */
import { writeFileSync } from "node:fs";
import { Child, started, TempDir } from "../host/child.ts";
import { childrenOf, ended } from "../host/processes.ts";
import { visit } from "../load/client.ts";
import { until } from "../until.ts";

/** A directory's nginx.conf; `listen` are the words after `listen`, a line each. */
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
${listen.map((words) => `    listen ${words} reuseport;`).join("\n")}
    location / { return 200 $uri; }
  }
}
`;
}

/** The arguments of an nginx that has `directory` to itself. */
export function nginxArgs(directory: string): string[] {
  return ["-p", directory, "-c", "nginx.conf", "-e", "log"];
}

export interface NginxOptions {
  readonly port: number;
  readonly workers: number;
  /** More ports of the same workers, each a group of its own. */
  readonly ports?: readonly number[];
  /** A command to start it with, such as `["taskset", "-c", "1"]`. */
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

  /** Returns when every old worker is gone and with it the listeners nobody has any more. */
  async reload(workers: number): Promise<void> {
    const old = new Set(this.#workers());
    this.#configure(workers);
    this.#master.kill("SIGHUP");
    await this.#master.until("the workers are new", () => {
      const now = this.#workers();
      return now.length === workers && !now.some((pid) => old.has(pid));
    });
  }

  #workers(): number[] {
    return childrenOf(this.#master.pid);
  }

  #configure(workers: number): void {
    const listen = this.#ports.map((port) => `127.0.0.1:${port}`);
    const config = nginxConfig(listen, workers);
    writeFileSync(this.#dir.file("nginx.conf"), config);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const workers = this.#master.running ? this.#workers() : [];
    // SIGTERM: the master ends its workers; SIGKILL would leave them behind.
    await this.#master.stop("SIGTERM");
    await until("nginx's workers are gone", () => workers.every(ended));
    this.#dir[Symbol.dispose]();
  }
}
