/** Metrics of the process itself, under the names that Prometheus' client libraries use. */
import { readdirSync, readFileSync, statSync } from "node:fs";
import { Counter, Gauge, Registry } from "./prom_client.ts";

const MEMORY = [
  ["process_resident_memory_bytes", "Resident memory size in bytes.", "VmRSS"],
  ["process_virtual_memory_bytes", "Virtual memory size in bytes.", "VmSize"],
  ["process_heap_bytes", "Process heap size in bytes.", "VmData"],
] as const;
const FILES = "/proc/self/fd";

/**
 * prom-client's metrics with values of our own. Its collectDefaultMetrics() also starts a 10 ms
 * timer for the event loop (bench row 14) and fails promtool's lint.
 */
export class ProcessMetrics {
  readonly #registry = new Registry();

  constructor() {
    const startedSeconds = Math.round(Date.now() / 1000 - process.uptime());
    const seconds = (microseconds: number) => microseconds / 1e6;
    const cpu = () => process.cpuUsage();
    this.#counter("process_cpu_user_seconds_total", "Total user CPU time spent in seconds.", () =>
      seconds(cpu().user),
    );
    this.#counter(
      "process_cpu_system_seconds_total",
      "Total system CPU time spent in seconds.",
      () => seconds(cpu().system),
    );
    this.#counter(
      "process_cpu_seconds_total",
      "Total user and system CPU time spent in seconds.",
      () => seconds(cpu().user + cpu().system),
    );
    this.#gauge(
      "process_start_time_seconds",
      "Start time of the process since unix epoch in seconds.",
      () => startedSeconds,
    );
    for (const [name, help, field] of MEMORY) this.#gauge(name, help, () => memoryBytes(field));
    this.#gauge("process_max_fds", "Maximum number of open file descriptors.", maxFiles);
    this.#gauge("process_open_fds", "Number of open file descriptors.", openFiles);
  }

  /** Returns the text format. */
  text(): Promise<string> {
    return this.#registry.metrics();
  }

  #gauge(name: string, help: string, read: () => number): void {
    new Gauge({
      name,
      help,
      registers: [this.#registry],
      collect() {
        this.set(read());
      },
    });
  }

  #counter(name: string, help: string, read: () => number): void {
    new Counter({
      name,
      help,
      registers: [this.#registry],
      collect() {
        this.reset();
        this.inc(read());
      },
    });
  }
}

/** Returns a field of /proc/self/status (proc_pid_status(5)) in bytes. */
function memoryBytes(field: string): number {
  const status = readFileSync("/proc/self/status", "utf8");
  const kilobytes = new RegExp(`^${field}:\\s+(\\d+) kB`, "m").exec(status)?.[1];
  return Number(kilobytes ?? 0) * 1024;
}

/** Returns the soft limit of open files (proc_pid_limits(5)). */
function maxFiles(): number {
  const max = /^Max open files\s+(\d+)/m.exec(readFileSync("/proc/self/limits", "utf8"))?.[1];
  return max === undefined ? Number.POSITIVE_INFINITY : Number(max);
}

/**
 * Counts open file descriptors. Listing them takes longer than the rest of a scrape with thousands
 * of groups (row 12); since Linux 6.2 the directory's size is their number (proc_pid_fd(5)).
 */
export function openFiles(): number {
  return statSync(FILES).size || readdirSync(FILES).length - 1; // readdir opens one itself
}
