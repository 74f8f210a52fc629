/** cgroup v2, also where it stands beside v1: found in /proc/mounts, never assumed. */
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { NotSupportedError, UsageError } from "./errors.ts";

/** Mount point of the cgroup v2 hierarchy; null: none. */
export function findCgroup2(): string | null {
  for (const line of readFileSync("/proc/mounts", "utf8").split("\n")) {
    const [, mount, type] = line.split(" ");
    if (type === "cgroup2" && mount) return mount;
  }
  return null;
}

/**
 * A cgroup as /proc/PID/cgroup writes it, from that or from its directory.
 * @throws UsageError when there is no such cgroup, NotSupportedError without cgroup v2.
 */
export function cgroupPath(text: string): string {
  const mount = findCgroup2();
  if (mount === null) throw new NotSupportedError("cgroup v2", "no cgroup v2 is mounted");
  const path = text.startsWith(`${mount}/`) ? text.slice(mount.length) : text;
  if (!path.startsWith("/") || !existsSync(join(mount, path))) {
    throw new UsageError(`there is no cgroup ${text} below ${mount}`);
  }
  return path;
}

/** The cgroup of a process; null: it is gone, or there is no cgroup v2. */
export function cgroupOf(pid: number): string | null {
  try {
    return /^0::(.*)$/m.exec(readFileSync(`/proc/${pid}/cgroup`, "utf8"))?.[1] ?? null;
  } catch {
    return null;
  }
}

/** Whether `path` is `ancestor` or below it. */
export function isBelow(path: string | null, ancestor: string): boolean {
  const top = ancestor.replace(/\/+$/, "");
  return path !== null && (path === top || path.startsWith(`${top}/`));
}
