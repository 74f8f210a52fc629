/** The store's Prometheus metrics, made from one status at each scrape. Names are bounded by --max-names. */
import { Counter, Gauge, Registry } from "prom-client";
import type { StoreStatus } from "../../loader/store/server.ts";
import { addProcessMetrics } from "./process_metrics.ts";

const PREFIX = "reuseport_migrate_store_";

/** Owns a registry of its own. */
export class StoreExporter {
  readonly #registry = new Registry();
  readonly #gauges = {
    fds: this.#gauge("fds", "File descriptors held, by name, at this scrape.", ["name"]),
    age_seconds: this.#gauge("age_seconds", "Time since the name was put.", ["name"]),
    left_seconds: this.#gauge(
      "left_seconds",
      "Time until the name expires; only of names that no live process holds.",
      ["name"],
    ),
    queue_length: this.#gauge(
      "accept_queue_length",
      "Connections waiting in the TCP listeners of the name, at this scrape.",
      ["name"],
    ),
    clients: this.#gauge("clients", "Connected clients at this scrape.", []),
  };
  readonly #counters = {
    put: this.#counter("put_total", "File descriptors that were put.", []),
    taken: this.#counter("taken_total", "File descriptors that were taken.", []),
    expired: this.#counter(
      "expired_total",
      "File descriptors closed as nobody took them in time.",
      [],
    ),
    dropped: this.#counter(
      "dropped_total",
      "File descriptors closed by a drop, or replaced by a put.",
      [],
    ),
    refused: this.#counter("refused_total", "Requests and clients refused, by reason.", ["reason"]),
  };

  /** @param options.process also say how this process is: not beside an exporter that does. */
  constructor(options: { readonly process: boolean }) {
    if (options.process) addProcessMetrics(this.#registry);
  }

  get contentType(): string {
    return this.#registry.contentType;
  }

  /** Reads status once and says it in the text format. */
  scrape(status: () => StoreStatus): Promise<string> {
    for (const metric of [...Object.values(this.#gauges), ...Object.values(this.#counters)]) {
      metric.reset();
    }
    const { names, clients, counts } = status();
    const { fds, age_seconds, left_seconds, queue_length } = this.#gauges;
    for (const { name, fds: held, ageMs, leftMs } of names) {
      fds.set({ name }, held.length);
      age_seconds.set({ name }, ageMs / 1000);
      if (leftMs !== null) left_seconds.set({ name }, leftMs / 1000);
      const queues = held.flatMap(({ queue }) => queue ?? []);
      if (queues.length > 0)
        queue_length.set(
          { name },
          queues.reduce((sum, n) => sum + n, 0),
        );
    }
    this.#gauges.clients.set(clients);
    for (const kind of ["put", "taken", "expired", "dropped"] as const) {
      this.#counters[kind].inc(counts[kind]);
    }
    for (const [reason, count] of Object.entries(counts.refused)) {
      this.#counters.refused.inc({ reason }, count);
    }
    return this.#registry.metrics();
  }

  #gauge(name: string, help: string, labelNames: readonly string[]): Gauge {
    return new Gauge({ name: PREFIX + name, help, labelNames, registers: [this.#registry] });
  }

  #counter(name: string, help: string, labelNames: readonly string[]): Counter {
    return new Counter({ name: PREFIX + name, help, labelNames, registers: [this.#registry] });
  }
}
