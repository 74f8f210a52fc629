/** The panels of deploy/grafana, and their queries as Grafana sends them. */
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

const FILE = fileURLToPath(
  new URL("../../../deploy/grafana/reuseport-migrate.json", import.meta.url),
);

export interface Target {
  readonly expr: string;
  readonly legendFormat: string;
}

export interface Panel {
  readonly id: number;
  readonly type: string;
  readonly title: string;
  readonly gridPos: {
    readonly h: number;
    readonly w: number;
    readonly x: number;
    readonly y: number;
  };
  readonly targets?: readonly Target[];
  readonly fieldConfig?: {
    readonly defaults: {
      readonly unit: string;
      readonly thresholds?: {
        readonly steps: readonly { readonly color: string; readonly value: number | null }[];
      };
    };
  };
}

export interface Dashboard {
  readonly panels: readonly Panel[];
  readonly templating: { readonly list: readonly { readonly definition?: string }[] };
  readonly annotations: { readonly list: readonly { readonly expr: string }[] };
}

export function readDashboard(): Dashboard {
  return JSON.parse(readFileSync(FILE, "utf8"));
}

/** Returns a query with all hosts and services, as for a scrape every half second. */
export function expanded(query: string, rangeSeconds: number): string {
  return query
    .replaceAll(/\$(job|instance|service)\b/g, ".*")
    .replaceAll("$__rate_interval", "3s")
    .replaceAll("$__range", `${rangeSeconds}s`);
}

/** Returns the legend of a series. */
export function legend(format: string, labels: Readonly<Record<string, string>>): string {
  return format.replaceAll(/\{\{(\w+)\}\}/g, (_, name: string) => labels[name] ?? "");
}
