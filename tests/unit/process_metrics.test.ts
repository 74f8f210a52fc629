/** The metrics of the process itself. */
import assert from "node:assert/strict";
import { closeSync, openSync, readdirSync } from "node:fs";
import { test } from "node:test";
import { openFiles, ProcessMetrics } from "../../cli/metrics/process_metrics.ts";

test("open file descriptors are counted as they are", () => {
  const before = openFiles();
  assert.equal(before, readdirSync("/proc/self/fd").length - 1);
  const fd = openSync("/dev/null", "r");
  try {
    assert.equal(openFiles(), before + 1);
  } finally {
    closeSync(fd);
  }
});

test("CPU, memory and descriptors are those of this process", async () => {
  const text = await new ProcessMetrics().text();
  const value = (name: string) => {
    const found = new RegExp(`^process_${name} ([0-9.e+]+)$`, "m").exec(text)?.[1];
    return Number(found);
  };
  const near = (name: string, expected: number) =>
    assert.ok(Math.abs(value(name) / expected - 1) < 0.5, `${name} ${value(name)} ${expected}`);
  near("resident_memory_bytes", process.memoryUsage.rss());
  near("start_time_seconds", Date.now() / 1000);
  near("cpu_user_seconds_total", process.cpuUsage().user / 1e6);
  const parts = value("cpu_user_seconds_total") + value("cpu_system_seconds_total");
  near("cpu_seconds_total", parts);
  assert.ok(value("virtual_memory_bytes") > value("heap_bytes"));
  assert.ok(value("max_fds") > value("open_fds"));
  assert.equal(text.match(/^# TYPE process_\w+ (counter|gauge)$/gm)?.length, 9);
});
