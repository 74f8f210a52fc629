/** Metrics of the process itself, as Prometheus' client libraries name them. */
import { readdirSync, readFileSync, statSync } from "node:fs";
import { Families, type Family } from "./families.ts";

const FAMILIES: readonly Family[] = [
  ["cpu_user_seconds_total", "counter", "Total user CPU time spent in seconds."],
  ["cpu_system_seconds_total", "counter", "Total system CPU time spent in seconds."],
  ["cpu_seconds_total", "counter", "Total user and system CPU time spent in seconds."],
  ["start_time_seconds", "gauge", "Start time of the process since unix epoch in seconds."],
  ["resident_memory_bytes", "gauge", "Resident memory size in bytes."],
  ["virtual_memory_bytes", "gauge", "Virtual memory size in bytes."],
  ["heap_bytes", "gauge", "Process heap size in bytes."],
  ["max_fds", "gauge", "Maximum number of open file descriptors."],
  ["open_fds", "gauge", "Number of open file descriptors."],
];

const MEMORY = {
  resident_memory_bytes: "VmRSS",
  virtual_memory_bytes: "VmSize",
  heap_bytes: "VmData",
};
const FILES = "/proc/self/fd";

export class ProcessMetrics {
  readonly #families = new Families("process_", FAMILIES);
  readonly #startedSeconds = Math.round(Date.now() / 1000 - process.uptime());

  /** Returns the text format, with an empty line at its end. */
  text(): string {
    const families = this.#families;
    const { user, system } = process.cpuUsage();
    families.add("cpu_user_seconds_total", user / 1e6);
    families.add("cpu_system_seconds_total", system / 1e6);
    families.add("cpu_seconds_total", (user + system) / 1e6);
    families.add("start_time_seconds", this.#startedSeconds);
    const status = readFileSync("/proc/self/status", "utf8");
    for (const [name, field] of Object.entries(MEMORY)) {
      const kilobytes = new RegExp(`^${field}:\\s+(\\d+) kB`, "m").exec(status)?.[1];
      if (kilobytes !== undefined) families.add(name, Number(kilobytes) * 1024);
    }
    const limits = readFileSync("/proc/self/limits", "utf8");
    const max = /^Max open files\s+(\d+)/m.exec(limits)?.[1];
    if (max !== undefined) families.add("max_fds", Number(max));
    families.add("open_fds", openFiles());
    return `${families.take()}\n`;
  }
}

/**
 * Counts open file descriptors. Listing them takes longer than the rest of a scrape with thousands
 * of groups (row 12); since Linux 6.2 the directory's size is their number (proc_pid_fd(5)).
 */
export function openFiles(): number {
  return statSync(FILES).size || readdirSync(FILES).length - 1; // readdir opens one itself
}
