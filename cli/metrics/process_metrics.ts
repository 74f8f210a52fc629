/** What /metrics says of the process itself: prom-client's metrics, but for one. */
import { readdirSync, statSync } from "node:fs";
import { createRequire } from "node:module";
import { Gauge, type Registry } from "prom-client";

/** Its Node metrics keep a 10 ms timer running and fail promtool's lint. */
const PROCESS = [
  "processCpuTotal",
  "processStartTime",
  "osMemoryHeap",
  "processMaxFileDescriptors",
];

const FILES = "/proc/self/fd";

export function addProcessMetrics(registry: Registry): void {
  const load = createRequire(import.meta.url);
  for (const name of PROCESS) load(`prom-client/lib/metrics/${name}.js`)(registry);
  new Gauge({
    name: "process_open_fds",
    help: "Number of open file descriptors.",
    registers: [registry],
    collect() {
      this.set(openFiles());
    },
  });
}

/**
 * Open file descriptors. prom-client lists them, which with thousands of groups takes longer than
 * all else of a scrape; Linux 6.2 says their number (proc_pid_fd(5), stat of the directory).
 */
export function openFiles(): number {
  return statSync(FILES).size || readdirSync(FILES).length - 1; // less the one it is listed with
}
