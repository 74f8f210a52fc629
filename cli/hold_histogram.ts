/** The time held, as a histogram whose counts are the kernel's: prom-client's own only observes. */
import type { Metric, MetricValueWithName, Registry } from "prom-client";
import { HOLD_BUCKETS } from "../loader/abi.ts";
import type { HoldStatus } from "../loader/index.ts";

type Labels = Readonly<Record<string, string>>;

/** Cumulative buckets, sum and count of one group's holds that ended. */
function series(
  name: string,
  labels: Labels,
  { holds }: HoldStatus,
): MetricValueWithName<string>[] {
  const count = holds.handed_over + holds.expired + holds.released;
  let below = 0;
  const values = HOLD_BUCKETS.map((le, i) => {
    below += holds.buckets[i] ?? 0;
    return { metricName: `${name}_bucket`, labels: { ...labels, le: String(le) }, value: below };
  });
  return [
    ...values,
    { metricName: `${name}_bucket`, labels: { ...labels, le: "+Inf" }, value: count },
    { metricName: `${name}_sum`, labels, value: holds.sumMs / 1000 },
    { metricName: `${name}_count`, labels, value: count },
  ];
}

/** A metric that says what it was last told; the registry asks no more of one than this. */
export class HoldHistogram {
  readonly name: string;
  readonly #help: string;
  #values: MetricValueWithName<string>[] = [];

  constructor(name: string, help: string) {
    this.name = name;
    this.#help = help;
  }

  register(registry: Registry): void {
    registry.registerMetric(this as unknown as Metric);
  }

  tell(labels: Labels, hold: HoldStatus): void {
    this.#values.push(...series(this.name, labels, hold));
  }

  reset(): void {
    this.#values = [];
  }

  async get() {
    return { name: this.name, help: this.#help, type: "histogram", values: this.#values };
  }
}
