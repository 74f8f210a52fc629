/**
 * Metrics whose values are the kernel's. prom-client renders them; its own Counter and Gauge, which
 * hash and check every label set so as to add it up, do nothing for a value that is said once a scrape.
 */
import { type Metric, Registry } from "prom-client";

export type Labels = Readonly<Record<string, string | number>>;
export type Type = "counter" | "gauge" | "histogram";

/** As the registry wants it. */
interface Value {
  /** Of a histogram's series; else the family's own. */
  readonly metricName?: string;
  readonly labels: Labels;
  /** Rendered once for each object, however many values have it. */
  readonly sharedLabels: Labels;
  readonly value: number;
}

const NONE: Labels = {};

/** So many values are rendered in one go: some 3 ms. */
const GO = 2_000;

/** All series of one name. */
class Family {
  readonly name: string;
  readonly #type: Type;
  readonly #help: string;
  #values: Value[] = [];
  /** Lines that were rendered, those of help and type left out. */
  readonly lines: string[] = [];

  constructor(name: string, type: Type, help: string) {
    this.name = name;
    this.#type = type;
    this.#help = help;
  }

  tell(value: Value): void {
    this.#values.push(value);
  }

  get told(): boolean {
    return this.#values.length > 0;
  }

  /** What the registry asks of a metric: what was told since it asked last. */
  async get() {
    const values = this.#values;
    this.#values = [];
    return { name: this.name, help: this.#help, type: this.#type, values };
  }
}

/** The families of one exporter: told what there is, rendered now and then, taken at the end. */
export class Families {
  readonly registry = new Registry();
  readonly #prefix: string;
  readonly #families = new Map<string, Family>();
  #told = 0;

  /** @param prefix of every name */
  constructor(prefix: string) {
    this.#prefix = prefix;
  }

  add(name: string, type: Type, help: string): void {
    const family = new Family(this.#prefix + name, type, help);
    this.#families.set(name, family);
    this.registry.registerMetric(family as unknown as Metric);
  }

  /**
   * @param shared labels that other values have too, in one object
   * @param suffix of a histogram's series
   */
  tell(name: string, value: number | bigint, shared = NONE, labels = NONE, suffix = ""): void {
    const family = this.#families.get(name);
    if (!family) throw new Error(`there is no metric ${name}`);
    const named = suffix ? { metricName: family.name + suffix } : {};
    family.tell({ ...named, labels, sharedLabels: shared, value: Number(value) });
    this.#told++;
  }

  /** Enough was told to be rendered. */
  get full(): boolean {
    return this.#told >= GO;
  }

  /** Renders what was told since the last time. */
  async render(): Promise<void> {
    this.#told = 0;
    for (const family of this.#families.values()) {
      if (!family.told) continue;
      const text = await this.registry.getSingleMetricAsString(family.name);
      const head = await this.registry.getSingleMetricAsString(family.name); // no values any more
      family.lines.push(text.slice(head.length));
    }
  }

  /** The whole text, other metrics of the registry included; then nothing is told any more. */
  async take(): Promise<string> {
    await this.render();
    const lines = new Map<string, string[]>();
    for (const family of this.#families.values()) lines.set(family.name, family.lines.splice(0));
    const parts: string[] = [];
    for (const { name } of this.registry.getMetricsAsArray()) {
      const head = await this.registry.getSingleMetricAsString(name);
      parts.push([head, ...(lines.get(name) ?? [])].join(""));
    }
    return `${parts.join("\n\n")}\n`;
  }
}
