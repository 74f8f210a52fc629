/** Prometheus metrics, made from one status at each scrape. Every label set is bounded. */
import { ABI_VERSION } from "../../loader/core/abi.ts";
import type { GroupStatus, Status } from "../../loader/operate/status.ts";
import { version } from "../version.ts";
import { Families, type Labels, labelText } from "./families.ts";
import { GROUP_FAMILIES, tellGroup } from "./group_metrics.ts";
import { addProcessMetrics } from "./process_metrics.ts";

/** Reads status: tells of groups one by one as it reads them, or gives them in the end. */
export type StatusSource = (each: (group: GroupStatus) => void) => Status | Promise<Status>;

/** Owns a registry of its own. */
export class Exporter {
  readonly #families = new Families("reuseport_migrate_");
  /** Groups that could not be read, since this exporter was made. */
  #errors = 0;
  #running: Promise<string> | null = null;

  /** @param options.process also say how this process is: not where it is gone a moment later. */
  constructor(options: { readonly process: boolean }) {
    const families = this.#families;
    if (options.process) addProcessMetrics(families.registry);
    families.add("build_info", "gauge", "Always 1; the labels say what is running.");
    families.add(
      "collection_errors_total",
      "counter",
      "Groups whose status could not be read, by this process, at scrapes.",
    );
    families.add(
      "groups",
      "gauge",
      "Groups the program is attached to, by service, at this scrape.",
    );
    for (const family of GROUP_FAMILIES) families.add(...family);
    families.add(
      "adopted_binds_total",
      "counter",
      "Binds in an adopted cgroup by port, counted in the kernel; result=set got SO_REUSEPORT, result=failed did not.",
    );
    families.add(
      "kernel_migrations_total",
      "counter",
      "The kernel's own count of migrations (TcpExt TCPMigrateReq), hops and intended drops included.",
    );
  }

  get contentType(): string {
    return this.#families.registry.contentType;
  }

  /**
   * Reads status once and says it in the text format; when that fails, the scrape still answers. Who
   * asks while one is under way gets the same.
   */
  scrape(status: StatusSource): Promise<string> {
    this.#running ??= this.#scrape(status).finally(() => {
      this.#running = null;
    });
    return this.#running;
  }

  async #scrape(status: StatusSource): Promise<string> {
    const families = this.#families;
    try {
      await this.#tell(status);
    } catch {
      this.#errors++;
    }
    families.tell("build_info", 1, labelText({ version: version(), abi: ABI_VERSION }));
    families.tell("collection_errors_total", this.#errors);
    return families.take();
  }

  async #tell(status: StatusSource): Promise<void> {
    const families = this.#families;
    const attached = new Map<string, number>();
    const tellOne = (group: GroupStatus) => {
      try {
        tellGroup(families, group);
      } catch {
        this.#errors++;
      }
      attached.set(group.service, (attached.get(group.service) ?? 0) + (group.attached ? 1 : 0));
    };
    const { groups, adoptions, kernel, errors } = await status(tellOne);
    for (const group of groups) tellOne(group);
    this.#errors += errors.length;
    const tell = (name: string, value: number | bigint, labels: Labels) =>
      families.tell(name, value, labelText(labels));
    for (const [service, count] of attached) tell("groups", count, { service });
    for (const { cgroup, ports } of adoptions) {
      for (const { port, binds, failed } of ports) {
        tell("adopted_binds_total", binds, { cgroup, port, result: "set" });
        tell("adopted_binds_total", failed, { cgroup, port, result: "failed" });
      }
    }
    for (const [netns, { success, failure }] of kernel) {
      tell("kernel_migrations_total", success, { netns, result: "success" });
      tell("kernel_migrations_total", failure, { netns, result: "failure" });
    }
  }
}
