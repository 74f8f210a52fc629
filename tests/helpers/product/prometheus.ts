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

/** A time series of a range query. */
export interface Series {
  readonly metric: Readonly<Record<string, string>>;
  readonly points: readonly (readonly [seconds: number, value: number])[];
}

/** How a target is scraped, and which rules are evaluated. */
export interface PrometheusOptions {
  /** Files of rules. */
  readonly rules?: readonly string[];
  /** More keys of the scrape config, such as `basic_auth`. */
  readonly scrape?: object;
}

export class Prometheus implements AsyncDisposable {
  readonly #dir = new TempDir();
  readonly #child: Child;

  private constructor(target: URL, { rules = [], scrape = {} }: PrometheusOptions) {
    const config = this.#dir.file("prometheus.json"); // YAML is a superset of JSON
    const job = {
      job_name: "reuseport-migrate",
      metrics_path: target.pathname,
      scheme: target.protocol.slice(0, -1),
      static_configs: [{ targets: [target.host] }],
      ...scrape,
    };
    const global = { scrape_interval: "500ms", evaluation_interval: "500ms" };
    writeFileSync(config, JSON.stringify({ global, rule_files: rules, scrape_configs: [job] }));
    mkdirSync(this.#dir.file("data"));
    const args = [
      `--config.file=${config}`,
      `--storage.tsdb.path=${this.#dir.file("data")}`,
      `--web.listen-address=127.0.0.1:${PORT}`,
      "--log.level=warn",
    ];
    this.#child = new Child("prometheus", args, this.#dir.file("log"));
  }

  static async start(metricsUrl: string, options: PrometheusOptions = {}): Promise<Prometheus> {
    const prometheus = new Prometheus(new URL(metricsUrl), options);
    const isReady = async () => {
      const response = await fetch(`${URL_BASE}/-/ready`).catch(() => undefined);
      return response?.ok ?? false;
    };
    return started(prometheus, prometheus.until("Prometheus is ready", isReady));
  }

  /** Runs an instant query. */
  async query(expression: string): Promise<Sample[]> {
    const { result } = await ask<{
      result: { metric: Record<string, string>; value: [number, string] }[];
    }>("query", { query: expression });
    return result.map(({ metric, value }) => ({ metric, value: Number(value[1]) }));
  }

  /** Runs a query for every half second between two times, in seconds. */
  async queryRange(query: string, start: number, end: number): Promise<Series[]> {
    const { result } = await ask<{
      result: { metric: Record<string, string>; values: [number, string][] }[];
    }>("query_range", { query, start: `${start}`, end: `${end}`, step: "0.5" });
    return result.map(({ metric, values }) => ({
      metric,
      points: values.map(([seconds, value]) => [seconds, Number(value)] as const),
    }));
  }

  /** Returns the names of the alerts that fire. */
  async firing(): Promise<Set<string>> {
    const { alerts } = await ask<{
      alerts: { labels: { alertname: string }; state: string }[];
    }>("alerts");
    const fire = alerts.filter(({ state }) => state === "firing");
    return new Set(fire.map(({ labels }) => labels.alertname));
  }

  until(what: string, condition: () => Promise<boolean>): Promise<void> {
    return this.#child.until(what, condition);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#child.stop("SIGTERM").catch(() => {});
    this.#dir[Symbol.dispose]();
  }
}

/** Asks the HTTP API. @throws with Prometheus' own sentence */
async function ask<T>(path: string, parameters: Record<string, string> = {}): Promise<T> {
  const response = await fetch(`${URL_BASE}/api/v1/${path}?${new URLSearchParams(parameters)}`);
  const { status, error, data } = (await response.json()) as {
    status: string;
    error?: string;
    data: T;
  };
  if (status !== "success") throw new Error(`${error}: ${JSON.stringify(parameters)}`);
  return data;
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
