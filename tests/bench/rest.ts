/** 14: the cost of a sidecar with 100 groups at rest, and of an idle Node process. */
import { spawn } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { BigHost } from "../helpers/host/big_host.ts";
import { SidecarProcess } from "../helpers/product/sidecar.ts";
import { until } from "../helpers/until.ts";
import { alone, type Figure } from "./figures.ts";
import type { Question } from "./question.ts";

const PORT = 20_014;
const GROUPS = 100;
const LISTENERS = 8;
/**
 * Until V8 has compiled and collected what the start left, once, 15 to 60 s after READY (160 ms of
 * CPU), and no listener is young.
 */
const SETTLE_MS = 90_000;
const REST_MS = 60_000;
const IDLE = "require('node:http').createServer().listen(0, '127.0.0.1')";

export const question: Question = {
  number: 14,
  name: "rest",
  title: `a sidecar at rest for ${REST_MS / 1000} s, ${GROUPS} groups of ${LISTENERS} listeners`,
  reference: "an idle Node process with an HTTP server",

  async measure(): Promise<Figure[]> {
    using host = new BigHost();
    await host.groups(PORT, 0, GROUPS, LISTENERS);
    await using sidecar = await SidecarProcess.attach(`:${PORT}`, "--metrics", "127.0.0.1:0");
    const idle = spawn(process.execPath, ["-e", IDLE], { stdio: "ignore" });
    try {
      const pid = idle.pid ?? 0;
      await until("the idle process listens", () => threadsOf(pid).length > 4);
      await sleep(SETTLE_MS);
      const before = [sidecar.pid, pid].map(usageOf);
      await sleep(REST_MS);
      const after = [sidecar.pid, pid].map(usageOf);
      const [ours, its] = after.map((now, i) => since(now, before[i] ?? now));
      if (!ours || !its) throw new Error("one of the processes has exited");
      return [
        alone([ours.cpu], { label: "CPU", unit: "% of a core", atMost: 0.2 }),
        alone([ours.wakeups], { label: "wake-ups", unit: "/s", atMost: 2 }),
        alone([ours.rss - its.rss], {
          label: "RSS above that of the idle process",
          unit: "MB",
          atMost: 30,
        }),
        alone([its.cpu], { label: "idle process, CPU", unit: "% of a core" }),
        alone([its.wakeups], { label: "idle process, wake-ups", unit: "/s" }),
        alone([its.rss], { label: "idle process, RSS", unit: "MB" }),
      ];
    } finally {
      idle.kill("SIGKILL");
    }
  },
};

interface Usage {
  readonly atMs: number;
  /** CPU time, ns. */
  readonly cpuNs: number;
  /** The number of times a thread slept and was woken. */
  readonly wakeups: number;
  readonly rssMb: number;
}

/**
 * Reads the usage of all threads from the scheduler, which is finer than the ticks of
 * /proc/PID/stat.
 */
function usageOf(pid: number): Usage {
  let cpuNs = 0;
  let wakeups = 0;
  for (const tid of threadsOf(pid)) {
    const task = `/proc/${pid}/task/${tid}`;
    cpuNs += Number(readFileSync(`${task}/schedstat`, "utf8").split(" ")[0]);
    const status = readFileSync(`${task}/status`, "utf8");
    wakeups += Number(/^voluntary_ctxt_switches:\s*(\d+)/m.exec(status)?.[1]);
  }
  const rssKb = Number(/^VmRSS:\s*(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1]);
  return { atMs: performance.now(), cpuNs, wakeups, rssMb: rssKb / 1024 };
}

function since(now: Usage, before: Usage): { cpu: number; wakeups: number; rss: number } {
  const ms = now.atMs - before.atMs;
  return {
    cpu: ((now.cpuNs - before.cpuNs) / 1e6 / ms) * 100,
    wakeups: ((now.wakeups - before.wakeups) / ms) * 1000,
    rss: now.rssMb,
  };
}

function threadsOf(pid: number): string[] {
  try {
    return readdirSync(`/proc/${pid}/task`);
  } catch {
    return [];
  }
}
