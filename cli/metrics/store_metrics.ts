/** The store's Prometheus metrics, made from one status. --max-names bounds the label sets. */
import type { StoreStatus } from "../../loader/store/server.ts";
import { Families, labelText } from "./families.ts";

const KINDS = ["put", "taken", "expired", "dropped"] as const;

export class StoreMetrics {
  readonly #families = new Families("reuseport_migrate_store_", [
    ["fds", "gauge", "File descriptors held, by name, at this scrape."],
    ["age_seconds", "gauge", "Time since the name was put."],
    [
      "left_seconds",
      "gauge",
      "Time until the name expires; only of names that no live process holds.",
    ],
    [
      "accept_queue_length",
      "gauge",
      "Connections waiting in the TCP listeners of the name, at this scrape.",
    ],
    ["clients", "gauge", "Connected clients at this scrape."],
    ["put_total", "counter", "File descriptors that were put."],
    ["taken_total", "counter", "File descriptors that were taken."],
    ["expired_total", "counter", "File descriptors closed because no process took them in time."],
    ["dropped_total", "counter", "File descriptors closed by a drop, or replaced by a put."],
    ["refused_total", "counter", "Requests and clients refused, by reason."],
  ]);

  /** Returns a status in the text format. */
  text({ names, clients, counts }: StoreStatus): string {
    const families = this.#families;
    for (const { name, fds, ageMs, leftMs } of names) {
      const labels = labelText({ name });
      families.add("fds", fds.length, labels);
      families.add("age_seconds", ageMs / 1000, labels);
      if (leftMs !== null) families.add("left_seconds", leftMs / 1000, labels);
      const queues = fds.flatMap(({ queue }) => queue ?? []);
      const queued = queues.reduce((sum, length) => sum + length, 0);
      if (queues.length > 0) families.add("accept_queue_length", queued, labels);
    }
    families.add("clients", clients);
    for (const kind of KINDS) families.add(`${kind}_total`, counts[kind]);
    for (const [reason, count] of Object.entries(counts.refused)) {
      families.add("refused_total", count, labelText({ reason }));
    }
    return families.take();
  }
}
