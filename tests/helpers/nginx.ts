/** nginx with one reuseport listener a worker: fewer workers after a reload, fewer listeners. */
import { readFileSync, writeFileSync } from "node:fs";
import { Child, started, TempDir } from "./child.ts";
import { visit } from "./client.ts";
import { until } from "./until.ts";

export class Nginx implements AsyncDisposable {
  readonly port: number;
  readonly #dir = new TempDir();
  readonly #master: Child;

  private constructor(port: number, workers: number) {
    this.port = port;
    this.#configure(workers);
    const args = ["-p", this.#dir.path, "-c", "nginx.conf", "-e", "log"];
    this.#master = new Child("nginx", args, this.#dir.file("log"));
  }

  static async start({ port, workers }: { port: number; workers: number }): Promise<Nginx> {
    const nginx = new Nginx(port, workers);
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

  #workers(): string[] {
    const { pid } = this.#master;
    return readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8").split(" ").filter(Boolean);
  }

  #configure(workers: number): void {
    writeFileSync(
      this.#dir.file("nginx.conf"),
      `daemon off;
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
    listen 127.0.0.1:${this.port} reuseport;
    location / { return 200 $uri; }
  }
}
`,
    );
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const workers = this.#master.running ? this.#workers() : [];
    // SIGTERM: the master ends its workers; SIGKILL would leave them behind.
    await this.#master.stop("SIGTERM");
    await until("nginx's workers are gone", () => workers.every((pid) => !alive(Number(pid))));
    this.#dir[Symbol.dispose]();
  }
}

function alive(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}
