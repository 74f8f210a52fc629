/**
 * Metric families in the Prometheus text format: the values of one scrape, written down.
 * Counter and Gauge of a client library add up values and hash label sets; the kernel has the sums already.
 */

import { printable } from "../../loader/printable.ts";

export type Labels = Readonly<Record<string, string | number>>;
export type Type = "counter" | "gauge" | "histogram";
/** Name (without the prefix), type and help. */
export type MetricFamily = readonly [name: string, type: Type, help: string];

/** Formats labels (prometheus.io/docs/instrumenting/exposition_formats): `a="1",b="2"`. */
export function labelText(labels: Labels): string {
  const pairs: string[] = [];
  for (const name in labels) pairs.push(`${name}="${escapeLabel(String(labels[name]))}"`);
  return pairs.join(",");
}

/** What needs no escape: nearly every value. */
const PLAIN = /^[\w.:/-]*$/;

function escapeLabel(value: string): string {
  if (PLAIN.test(value)) return value;
  const text = printable(value); // which has no line break
  if (!/[\\"]/.test(text)) return text;
  return text.replaceAll("\\", "\\\\").replaceAll('"', '\\"');
}

/** Lines that are joined into one string: the garbage collector then has fewer objects to visit. */
const BLOCK = 32;

/** The text of one family. */
interface Lines {
  readonly head: string;
  readonly blocks: string[];
  readonly latest: string[];
}

/** The families of one exporter: filled and emptied by each scrape. */
export class Families {
  readonly #prefix: string;
  readonly #lines = new Map<string, Lines>();

  /** @param prefix of every name */
  constructor(prefix: string, families: readonly MetricFamily[]) {
    this.#prefix = prefix;
    for (const [name, type, help] of families) {
      const full = prefix + name;
      const head = `# HELP ${full} ${help}\n# TYPE ${full} ${type}`;
      this.#lines.set(name, { head, blocks: [], latest: [] });
    }
  }

  /**
   * Adds a value.
   * @param labels as formatted by {@link labelText}
   * @param suffix of a histogram's series
   */
  add(name: string, value: number | bigint, labels = "", suffix = ""): void {
    const lines = this.#lines.get(name);
    if (!lines) throw new Error(`unknown metric ${name}`);
    lines.latest.push(`${this.#prefix}${name}${suffix}${labels && `{${labels}}`} ${value}`);
    if (lines.latest.length === BLOCK) lines.blocks.push(lines.latest.splice(0).join("\n"));
  }

  /** Returns the text of all families, and forgets their values. */
  take(): string {
    const parts: string[] = [];
    for (const { head, blocks, latest } of this.#lines.values()) {
      parts.push(head, ...blocks.splice(0), ...latest.splice(0), "");
    }
    return parts.join("\n");
  }
}
