/** Prometheus metrics, made from one status at each scrape. Every label set is bounded. */
import { ABI_VERSION } from "../../loader/core/abi.ts";
import { message } from "../../loader/log.ts";
import type { GroupStatus, Status } from "../../loader/operate/status.ts";
import { RepeatFilter } from "../output/repeats.ts";
import { version } from "../version.ts";
import { Families, type Labels, labelText } from "./families.ts";
import { addGroup, GROUP_FAMILIES } from "./group_metrics.ts";
import { ProcessMetrics } from "./process_metrics.ts";

/** Reads status: passes each group on as soon as it is read, and returns the rest. */
export type Collect = (each: (group: GroupStatus) => void) => Promise<Omit<Status, "groups">>;

/** Returns a {@link Collect} of a status that was read already. */
export function collected(status: Status): Collect {
  return async (each) => {
    for (const group of status.groups) each(group);
    return status;
  };
}

export interface ExporterOptions {
  /** Whether to add the metrics of this process. */
  readonly process: boolean;
  /** Called with each problem once, until a scrape without it. */
  readonly warn?: (text: string) => void;
}

/** The metrics of all groups. A scrape answers with everything that could be read. */
export class Exporter {
  readonly #families = new Families("reuseport_migrate_", [
    ["build_info", "gauge", "Always 1; the labels say what is running."],
    [
      "collection_errors_total",
      "counter",
      "Groups whose status could not be read, by this process, at scrapes.",
    ],
    ["groups", "gauge", "Groups the program is attached to, by service, at this scrape."],
    ...GROUP_FAMILIES,
    [
      "adopted_binds_total",
      "counter",
      "Binds in an adopted cgroup by port, counted in the kernel; result=set got SO_REUSEPORT, result=failed did not.",
    ],
    [
      "kernel_migrations_total",
      "counter",
      "The kernel's own count of migrations (TcpExt TCPMigrateReq), hops and intended drops included.",
    ],
  ]);
  readonly #process: ProcessMetrics | null;
  readonly #warn: (text: string) => void;
  readonly #repeats = new RepeatFilter();
  /** Problems since the last text. */
  #problems: string[] = [];
  /** Problems of all texts so far. */
  #errors = 0;
  #running: Promise<string> | null = null;

  constructor({ process, warn = () => {} }: ExporterOptions) {
    this.#process = process ? new ProcessMetrics() : null;
    this.#warn = warn;
  }

  /** Reads status once and returns it in the text format. Concurrent scrapes share one result. */
  scrape(collect: Collect): Promise<string> {
    this.#running ??= this.#scrape(collect).finally(() => {
      this.#running = null;
    });
    return this.#running;
  }

  /** Calls `read` and returns its result; an error is a problem of the next text. */
  attempt<T>(part: string, read: () => T): T | undefined {
    try {
      return read();
    } catch (error) {
      this.#lacks(part, error);
      return undefined;
    }
  }

  #lacks(part: string, error: unknown): void {
    this.#problems.push(`/metrics lacks ${part}: ${message(error)}`);
  }

  async #scrape(collect: Collect): Promise<string> {
    try {
      await this.#addStatus(collect);
    } catch (error) {
      this.#problems.push(`/metrics is incomplete: ${message(error)}`);
    }
    const process = await this.#process?.text().catch((e) => this.#lacks("this process", e));
    const problems = this.#problems;
    this.#problems = [];
    this.#errors += problems.length;
    for (const text of this.#repeats.newIn(problems)) this.#warn(text);
    this.#add("build_info", 1, { version: version(), abi: ABI_VERSION });
    this.#add("collection_errors_total", this.#errors);
    return (process ? `${process}\n` : "") + this.#families.take();
  }

  async #addStatus(collect: Collect): Promise<void> {
    const attached = new Map<string, number>();
    const { adoptions, kernel, errors } = await collect((group) => {
      this.attempt(`group ${group.name}`, () => addGroup(this.#families, group));
      attached.set(group.service, (attached.get(group.service) ?? 0) + (group.attached ? 1 : 0));
    });
    this.#problems.push(...errors);
    for (const [service, count] of attached) this.#add("groups", count, { service });
    for (const { cgroup, ports } of adoptions) {
      for (const { port, binds, failed } of ports) {
        this.#add("adopted_binds_total", binds, { cgroup, port, result: "set" });
        this.#add("adopted_binds_total", failed, { cgroup, port, result: "failed" });
      }
    }
    for (const [netns, { success, failure }] of kernel) {
      this.#add("kernel_migrations_total", success, { netns, result: "success" });
      this.#add("kernel_migrations_total", failure, { netns, result: "failure" });
    }
  }

  #add(name: string, value: number | bigint, labels: Labels = {}): void {
    this.#families.add(name, value, labelText(labels));
  }
}
