/** Prometheus metrics, made from one status at each scrape. Every label set is bounded. */
import { createRequire } from "node:module";
import { Counter, Gauge, Registry } from "prom-client";
import { ABI_VERSION, HOLD_RESULTS } from "../loader/abi.ts";
import type { GroupStatus, HoldStatus, Status } from "../loader/index.ts";
import { HoldHistogram } from "./hold_histogram.ts";
import { version } from "./version.ts";

const PREFIX = "reuseport_migrate_";
const GROUP = ["service", "group"] as const;
/** prom-client's metrics of the process; its Node ones keep a 10 ms timer running and fail promtool's lint. */
export const PROCESS = [
  "processCpuTotal",
  "processStartTime",
  "osMemoryHeap",
  "processOpenFileDescriptors",
  "processMaxFileDescriptors",
];

type Labels = Readonly<Record<string, string>>;

/** Owns a registry of its own. */
export class Exporter {
  readonly #registry = new Registry();
  readonly #errors: Counter;
  readonly #metrics = new Map<string, Counter | Gauge>();
  readonly #holdSeconds = new HoldHistogram(
    `${PREFIX}hold_seconds`,
    "How long holds took until they ended, counted by the sidecar in the kernel's memory.",
  );

  /** @param options.process also say how this process is: not where it is gone a moment later. */
  constructor(options: { readonly process: boolean }) {
    const load = createRequire(import.meta.url);
    for (const name of options.process ? PROCESS : []) {
      load(`prom-client/lib/metrics/${name}.js`)(this.#registry);
    }
    this.#gauge("build_info", "Always 1; the labels say what is running.", ["version", "abi"]);
    this.#errors = this.#counter(
      "collection_errors_total",
      "Groups whose status could not be read, by this process, at scrapes.",
    );
    this.#gauge("groups", "Groups the program is attached to, by service, at this scrape.", [
      "service",
    ]);
    this.#counter(
      "decisions_total",
      "Decisions of the program by stage and outcome, counted in the kernel when they are made.",
      [...GROUP, "stage", "outcome", "reason"],
    );
    this.#counter(
      "listener_migrations_total",
      "Connections migrated out of and into the listener in each slot, counted in the kernel; slot=closed are all listeners that are gone.",
      [...GROUP, "slot", "direction"],
    );
    this.#gauge(
      "listeners",
      "Listeners by role and generation (newest or older) at this scrape, the standby left out.",
      [...GROUP, "role", "generation"],
    );
    this.#gauge(
      "mptcp_listeners",
      "MPTCP listeners at this scrape: role unknown, reached by the kernel's hash only.",
      GROUP,
    );
    this.#gauge("generation", "Number of the newest generation.", GROUP);
    this.#gauge(
      "accept_queue_length",
      "Connections waiting to be accepted, all listeners, at this scrape.",
      GROUP,
    );
    this.#gauge(
      "accept_queue_limit",
      "Connections that may wait to be accepted, all listeners.",
      GROUP,
    );
    this.#gauge(
      "half_open_requests",
      "Handshakes under way, all listeners, at this scrape.",
      GROUP,
    );
    this.#counter(
      "reattachments_total",
      "Times the program was attached again because the kernel's group was re-created.",
      GROUP,
    );
    this.#counter(
      "wakeups_total",
      "Listeners woken by the sidecar after a migration, where the kernel does not.",
      GROUP,
    );
    this.#gauge("held_connections", "Connections that wait at the standby, at this scrape.", GROUP);
    this.#counter(
      "standby_connections_total",
      "Connections the standby was given, new or migrated, counted in the kernel.",
      [...GROUP, "kind"],
    );
    this.#counter(
      "holds_total",
      "Holds that started, and how they ended; counted by the sidecar in the kernel's memory.",
      [...GROUP, "result"],
    );
    this.#holdSeconds.register(this.#registry);
    this.#counter(
      "adopted_binds_total",
      "Binds in an adopted cgroup by port, counted in the kernel; result=set got SO_REUSEPORT, result=failed did not.",
      ["cgroup", "port", "result"],
    );
    this.#counter(
      "kernel_migrations_total",
      "The kernel's own count of migrations (TcpExt TCPMigrateReq), hops and intended drops included.",
      ["netns", "result"],
    );
    this.#counter(
      "program_run_seconds_total",
      "Time spent in the program, counted by the kernel while kernel.bpf_stats_enabled is 1.",
      GROUP,
    );
    this.#counter(
      "program_runs_total",
      "Runs of the program, counted by the kernel while kernel.bpf_stats_enabled is 1.",
      GROUP,
    );
  }

  get contentType(): string {
    return this.#registry.contentType;
  }

  /** Reads status once and says it in the text format; when that fails, the scrape still answers. */
  async scrape(status: () => Status): Promise<string> {
    for (const metric of this.#metrics.values()) if (metric !== this.#errors) metric.reset();
    this.#holdSeconds.reset();
    this.#set("build_info", 1, { version: version(), abi: String(ABI_VERSION) });
    try {
      const { groups, adoptions, kernel, errors } = status();
      this.#errors.inc(errors.length);
      for (const group of groups) this.#group(group);
      for (const group of groups) {
        if (group.attached) this.#add("groups", 1, { service: group.service });
        else this.#add("groups", 0, { service: group.service });
      }
      for (const { cgroup, ports } of adoptions) {
        for (const { port, binds, failed } of ports) {
          const labels = { cgroup, port: String(port) };
          this.#set("adopted_binds_total", binds, { ...labels, result: "set" });
          this.#set("adopted_binds_total", failed, { ...labels, result: "failed" });
        }
      }
      for (const [netns, { success, failure }] of kernel) {
        this.#set("kernel_migrations_total", success, { netns: String(netns), result: "success" });
        this.#set("kernel_migrations_total", failure, { netns: String(netns), result: "failure" });
      }
    } catch {
      this.#errors.inc();
    }
    return this.#registry.metrics();
  }

  #group(group: GroupStatus): void {
    const labels = { service: group.service, group: group.name };
    for (const { stage, outcome, reason, count } of group.decisions) {
      const all = { ...labels, stage, outcome, ...(reason ? { reason } : {}) };
      this.#set("decisions_total", count, all);
    }
    const migrated = (slot: string, out: bigint, into: bigint) => {
      this.#set("listener_migrations_total", out, { ...labels, slot, direction: "out" });
      this.#set("listener_migrations_total", into, { ...labels, slot, direction: "into" });
    };
    migrated("closed", group.closed.out, group.closed.into);
    for (const name of [
      "accept_queue_length",
      "accept_queue_limit",
      "half_open_requests",
      "mptcp_listeners",
    ]) {
      this.#set(name, 0, labels);
    }
    for (const listener of group.listeners) {
      const { slot, role } = listener;
      if (role === "standby") continue;
      if (slot !== null) migrated(String(slot), listener.migratedOut, listener.migratedInto);
      const generation = listener.generation === group.generation ? "newest" : "older";
      this.#add("listeners", 1, { ...labels, role, generation });
      if (listener.protocol === "mptcp") this.#add("mptcp_listeners", 1, labels);
      this.#add("accept_queue_length", listener.queueLength, labels);
      this.#add("accept_queue_limit", listener.queueLimit, labels);
      this.#add("half_open_requests", listener.halfOpen, labels);
    }
    this.#set("wakeups_total", group.wakeups, labels);
    if (group.hold) this.#hold(group.hold, labels);
    this.#set("generation", group.generation, labels);
    this.#set("reattachments_total", Math.max(0, group.attachments - 1), labels);
    if (group.run.count > 0n) {
      this.#set("program_run_seconds_total", Number(group.run.timeNs) / 1e9, labels);
      this.#set("program_runs_total", group.run.count, labels);
    }
  }

  #hold(hold: HoldStatus, labels: Labels): void {
    this.#set("held_connections", hold.connections, labels);
    this.#set("standby_connections_total", hold.received.syn, { ...labels, kind: "new" });
    this.#set("standby_connections_total", hold.received.migrated, { ...labels, kind: "migrated" });
    for (const result of ["started", ...HOLD_RESULTS] as const) {
      this.#set("holds_total", hold.holds[result], { ...labels, result });
    }
    this.#holdSeconds.tell(labels, hold);
  }

  #counter(name: string, help: string, labelNames: readonly string[] = []): Counter {
    const metric = new Counter({
      name: PREFIX + name,
      help,
      labelNames,
      registers: [this.#registry],
    });
    this.#metrics.set(name, metric);
    return metric;
  }

  #gauge(name: string, help: string, labelNames: readonly string[] = []): void {
    this.#metrics.set(
      name,
      new Gauge({ name: PREFIX + name, help, labelNames, registers: [this.#registry] }),
    );
  }

  /** Counters were reset at the start of the scrape, so adding is setting. */
  #set(name: string, value: number | bigint, labels: Labels): void {
    this.#add(name, Number(value), labels);
  }

  #add(name: string, value: number, labels: Labels): void {
    const metric = this.#metrics.get(name);
    if (!metric) throw new Error(`there is no metric ${name}`);
    metric.inc(labels, value);
  }
}
