/**
 * Metrics whose values are the kernel's: said once a scrape, and so only written down. prom-client
 * knows their names, types and help, and writes those; its own Counter and Gauge, which hash and
 * check every label set so as to add it up, take as long as all else of a scrape.
 */
import { type Metric, Registry } from "prom-client";

export type Labels = Readonly<Record<string, string | number>>;
export type Type = "counter" | "gauge" | "histogram";

/** As in the text format (prometheus.io/docs/instrumenting/exposition_formats): `a="1",b="2"`. */
export function labelText(labels: Labels): string {
  const pairs: string[] = [];
  for (const name in labels) pairs.push(`${name}="${escaped(String(labels[name]))}"`);
  return pairs.join(",");
}

function escaped(value: string): string {
  if (!/[\\"\n]/.test(value)) return value;
  return value.replaceAll("\\", "\\\\").replaceAll('"', '\\"').replaceAll("\n", "\\n");
}

/** So many lines are made one string: a collection of garbage then has little to look at. */
const BLOCK = 32;

/** Lines of one family. */
interface Lines {
  readonly blocks: string[];
  readonly latest: string[];
}

/** The families of one exporter: told what there is, taken at the end of a scrape. */
export class Families {
  readonly registry = new Registry();
  readonly #prefix: string;
  /** What was told, by family. */
  readonly #lines = new Map<string, Lines>();

  /** @param prefix of every name */
  constructor(prefix: string) {
    this.#prefix = prefix;
  }

  add(name: string, type: Type, help: string): void {
    const full = this.#prefix + name;
    const get = async () => ({ name: full, help, type, values: [] });
    this.registry.registerMetric({ name: full, get } as unknown as Metric);
    this.#lines.set(full, { blocks: [], latest: [] });
  }

  /**
   * @param labels as {@link labelText} says them
   * @param suffix of a histogram's series
   */
  tell(name: string, value: number | bigint, labels = "", suffix = ""): void {
    const full = this.#prefix + name;
    const lines = this.#lines.get(full);
    if (!lines) throw new Error(`there is no metric ${name}`);
    lines.latest.push(`${full}${suffix}${labels && `{${labels}}`} ${value}`);
    if (lines.latest.length === BLOCK) lines.blocks.push(lines.latest.splice(0).join("\n"));
  }

  /** The whole text, other metrics of the registry included; then nothing is told any more. */
  async take(): Promise<string> {
    const parts: string[] = [];
    for (const { name } of this.registry.getMetricsAsArray()) {
      parts.push(await this.registry.getSingleMetricAsString(name));
      const { blocks = [], latest = [] } = this.#lines.get(name) ?? {};
      parts.push(...blocks.splice(0), ...latest.splice(0));
      parts.push("");
    }
    return parts.join("\n");
  }
}
