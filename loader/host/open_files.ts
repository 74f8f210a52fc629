/** The process's limit of open files. */
import { readFileSync } from "node:fs";

/** Returns the soft limit of open files (proc_pid_limits(5)); Infinity if there is none. */
export function openFilesLimit(): number {
  const limits = readFileSync("/proc/self/limits", "utf8");
  const open = /^Max open files\s+(\d+|unlimited)/m.exec(limits)?.[1];
  return open === undefined || open === "unlimited" ? Number.POSITIVE_INFINITY : Number(open);
}
