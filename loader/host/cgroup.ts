/** cgroup v2, also where it stands beside v1: found in /proc/mounts, never assumed. */
import { existsSync, readFileSync, statSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { CGROUP_NAME_LEN, CGROUP_PATH_LEN } from "../core/abi.ts";
import { NotSupportedError, UsageError } from "../errors.ts";

/** Mount point of the cgroup v2 hierarchy; null: none. */
export function findCgroup2(): string | null {
  for (const line of readFileSync("/proc/mounts", "utf8").split("\n")) {
    const [, mount, type] = line.split(" ");
    if (type === "cgroup2" && mount) return mount;
  }
  return null;
}

/** @throws NotSupportedError when there is none */
function requireCgroup2(): string {
  const mount = findCgroup2();
  if (mount === null) throw new NotSupportedError("cgroup v2", "no cgroup v2 is mounted");
  return mount;
}

/**
 * A cgroup as /proc/PID/cgroup writes it, from that or from its directory.
 * @throws UsageError when there is no such cgroup, NotSupportedError without cgroup v2.
 */
export function cgroupPath(text: string): string {
  const mount = requireCgroup2();
  const path = text.startsWith(`${mount}/`) ? text.slice(mount.length) : text;
  if (!path.startsWith("/") || !existsSync(join(mount, path))) {
    throw new UsageError(`there is no cgroup ${text} below ${mount}`);
  }
  return path;
}

/**
 * As {@link cgroupPath}, for a cgroup that need not exist, and whose parent need not.
 * @throws UsageError, NotSupportedError
 */
export function cgroupText(text: string): string {
  const mount = requireCgroup2();
  const below = text === mount || text.startsWith(`${mount}/`);
  const path = (below ? text.slice(mount.length) : text).replace(/\/+$/, "") || "/";
  if (!text || !isPlain(path)) {
    throw new UsageError(
      `'${text}' is not a cgroup: write it as /proc/PID/cgroup does, such as '/system.slice/app.service'`,
    );
  }
  return path;
}

/** What stays when a cgroup comes and goes. */
export interface Nest {
  /** The parent's directory; of the root its own. */
  readonly directory: string;
  /** Id of the parent in the kernel; 0: the root has none. */
  readonly parent: bigint;
  /** Name of the cgroup below its parent; of the root empty. */
  readonly name: string;
}

/**
 * Where the cgroup `path` is, or will be.
 * @throws UsageError when its parent does not exist, NotSupportedError without cgroup v2.
 */
export function nestOf(path: string): Nest {
  const mount = requireCgroup2();
  if (path === "/") return { directory: mount, parent: 0n, name: "" };
  const directory = join(mount, dirname(path));
  const found = statSync(directory, { bigint: true, throwIfNoEntry: false });
  if (!found?.isDirectory()) {
    const slice = directory.endsWith(".slice");
    const how = slice ? `'systemctl start ${basename(directory)}'` : `mkdir ${directory}`;
    throw new UsageError(
      `the cgroup ${path} cannot be adopted: its parent ${directory} does not exist; create it first: ${how}`,
    );
  }
  return { directory, parent: found.ino, name: basename(path) };
}

/**
 * As {@link cgroupText}, for a cgroup to adopt: its parent must exist.
 * @throws UsageError, NotSupportedError
 */
export function adoptablePath(text: string): string {
  const path = cgroupText(text);
  nestOf(path);
  return path;
}

/** One way to write it, as the kernel does, and not longer than it is stored. */
function isPlain(path: string): boolean {
  if (path === "/") return true;
  const [first, ...names] = path.split("/");
  const fits = (text: string, size: number) => Buffer.byteLength(text) < size;
  return (
    first === "" &&
    fits(path, CGROUP_PATH_LEN) &&
    names.every((name) => name !== "" && !/^\.\.?$/.test(name) && fits(name, CGROUP_NAME_LEN))
  );
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
