/** A real Prometheus server that scrapes one target, and its checker of exposition text. */
import { spawnSync } from "node:child_process";
import { mkdirSync, writeFileSync } from "node:fs";
import { Child, started, TempDir } from "../host/child.ts";

const PORT = 19090;
const URL_BASE = `http://127.0.0.1:${PORT}`;

export interface Sample {
  metric: Record<string, string>;
  value: number;
}

export class Prometheus implements AsyncDisposable {
  readonly #dir = new TempDir();
  readonly #child: Child;

  private constructor(target: URL) {
    const config = this.#dir.file("prometheus.json"); // YAML is a superset of JSON
    const job = {
      job_name: "reuseport-migrate",
      metrics_path: target.pathname,
      static_configs: [{ targets: [target.host] }],
    };
    writeFileSync(
      config,
      JSON.stringify({ global: { scrape_interval: "500ms" }, scrape_configs: [job] }),
    );
    mkdirSync(this.#dir.file("data"));
    const args = [
      `--config.file=${config}`,
      `--storage.tsdb.path=${this.#dir.file("data")}`,
      `--web.listen-address=127.0.0.1:${PORT}`,
      "--log.level=warn",
    ];
    this.#child = new Child("prometheus", args, this.#dir.file("log"));
  }

  static async start(metricsUrl: string): Promise<Prometheus> {
    const prometheus = new Prometheus(new URL(metricsUrl));
    const isReady = async () => {
      const response = await fetch(`${URL_BASE}/-/ready`).catch(() => undefined);
      return response?.ok ?? false;
    };
    return started(prometheus, prometheus.until("Prometheus is ready", isReady));
  }

  /** Runs an instant query. */
  async query(expression: string): Promise<Sample[]> {
    const query = new URLSearchParams({ query: expression });
    const response = await fetch(`${URL_BASE}/api/v1/query?${query}`);
    const { data } = (await response.json()) as {
      data: { result: { metric: Record<string, string>; value: [number, string] }[] };
    };
    return data.result.map(({ metric, value }) => ({ metric, value: Number(value[1]) }));
  }

  until(what: string, condition: () => Promise<boolean>): Promise<void> {
    return this.#child.until(what, condition);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#child.stop("SIGTERM").catch(() => {});
    this.#dir[Symbol.dispose]();
  }
}

/**
 * Runs `promtool check metrics` on exposition text; it accepts the text if it exits 0 without
 * output.
 */
export function promtoolCheck(text: string): { status: number | null; output: string } {
  const { status, stdout, stderr } = spawnSync("promtool", ["check", "metrics"], {
    input: text,
    encoding: "utf8",
  });
  return { status, output: stdout + stderr };
}
