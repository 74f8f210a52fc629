/** Prometheus metrics, made from one status at each scrape. Every label set is bounded. */
import { ABI_VERSION } from "../../loader/core/abi.ts";
import { message } from "../../loader/log.ts";
import type { GroupStatus, Status } from "../../loader/operate/status.ts";
import { RepeatFilter } from "../output/repeats.ts";
import { version } from "../version.ts";
import { Families, type Labels, labelText } from "./families.ts";
import { GroupLabels } from "./group_labels.ts";
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
    [
      "wakeup_defect",
      "gauge",
      "1: this kernel leaves the destination of a migration asleep (CVE-2026-46015); left out if that was not tested.",
    ],
    [
      "refused_groups",
      "gauge",
      "Groups that a service covers and that are not attached, by the reason, at this scrape.",
    ],
    [
      "hung_processes",
      "gauge",
      "Processes that are left alone because a call on their listener hung, at this scrape.",
    ],
    [
      "groups_limit",
      "gauge",
      "Most groups that are managed: in all, and of one user in one network namespace.",
    ],
    [
      "bind_events_missed_total",
      "counter",
      "Binds to covered ports that were too many to be reported one by one; the host was polled instead.",
    ],
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
    [
      "kernel_listen_overflows_total",
      "counter",
      "The kernel's own count of SYNs and final ACKs that found an accept queue full (TcpExt ListenOverflows).",
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
    const labels = new GroupLabels();
    const status = await collect((group) => {
      this.attempt(`group ${group.name}`, () => addGroup(this.#families, group, labels.of(group)));
      attached.set(group.service, (attached.get(group.service) ?? 0) + (group.attached ? 1 : 0));
    });
    const { adoptions, kernel, admission, missedBinds, services = [], wakeupDefect } = status;
    this.#problems.push(...status.errors);
    for (const service of services) attached.set(service, attached.get(service) ?? 0);
    for (const [service, count] of attached) this.#add("groups", count, { service });
    if (wakeupDefect !== undefined) this.#add("wakeup_defect", wakeupDefect ? 1 : 0);
    if (admission) {
      const { refused, limits, hung } = admission;
      this.#add("hung_processes", hung);
      for (const [reason, count] of refused) this.#add("refused_groups", count, { reason });
      this.#add("groups_limit", limits.total, { of: "all" });
      this.#add("groups_limit", limits.perUser, { of: "user" });
    }
    if (missedBinds !== undefined) this.#add("bind_events_missed_total", missedBinds);
    for (const { cgroup, ports } of adoptions) {
      for (const { port, binds, failed } of ports) {
        this.#add("adopted_binds_total", binds, { cgroup, port, result: "set" });
        this.#add("adopted_binds_total", failed, { cgroup, port, result: "failed" });
      }
    }
    for (const [inode, { success, failure, overflows }] of kernel) {
      const netns = labels.netns(inode);
      this.#add("kernel_migrations_total", success, { netns, result: "success" });
      this.#add("kernel_migrations_total", failure, { netns, result: "failure" });
      this.#add("kernel_listen_overflows_total", overflows, { netns });
    }
  }

  #add(name: string, value: number | bigint, labels: Labels = {}): void {
    this.#families.add(name, value, labelText(labels));
  }
}
