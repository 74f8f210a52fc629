/** cgroup v2, wherever it is mounted: a host may mount v1 at the usual place. */
import { existsSync, readFileSync, statSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { CGROUP_NAME_LEN, CGROUP_PATH_LEN } from "../core/abi.ts";
import { mountPoint } from "../core/mounts.ts";
import { AbsentError, isExhausted, NotSupportedError, UsageError } from "../errors.ts";

/** Returns the mount point of cgroup v2, or null if it is not mounted. */
export function findCgroup2(): string | null {
  return mountPoint(readFileSync("/proc/mounts", "utf8"), "cgroup2");
}

/** Returns the mount point of cgroup v2. @throws NotSupportedError if it is not mounted */
export function requireCgroup2(): string {
  const mount = findCgroup2();
  if (mount === null) throw new NotSupportedError("cgroup v2", "no cgroup v2 is mounted");
  return mount;
}

/**
 * Returns the path of an existing cgroup as /proc/PID/cgroup writes it.
 * @param text that path, or the cgroup's directory
 * @throws AbsentError if the cgroup does not exist, NotSupportedError without cgroup v2
 */
export function cgroupPath(text: string): string {
  const mount = requireCgroup2();
  const path = belowMount(text, mount);
  if (!path.startsWith("/") || !existsSync(join(mount, path))) {
    throw new AbsentError(`cgroup '${text}' does not exist below ${mount}`);
  }
  return path;
}

/**
 * Returns the path of a cgroup as {@link cgroupPath} does; neither it nor its parent need exist.
 * @throws UsageError, NotSupportedError
 */
export function cgroupText(text: string): string {
  const path = belowMount(text, requireCgroup2());
  if (!isCanonical(path)) {
    throw new UsageError(
      `'${text}' is not a cgroup: write it as /proc/PID/cgroup does, such as '/system.slice/app.service'`,
    );
  }
  return path;
}

/** Returns `text` relative to the mount point if it is below; without slashes at its end. */
function belowMount(text: string, mount: string): string {
  const isInside = text === mount || text.startsWith(`${mount}/`);
  const path = (isInside ? text.slice(mount.length) : text).replace(/\/+$/, "");
  return path === "" && text !== "" ? "/" : path;
}

/** Where a cgroup is in the tree; the same after it was removed and made again. */
interface CgroupLocation {
  /** The parent's directory; for the root, its own. */
  readonly directory: string;
  /** Kernel id of the parent; 0 for the root, which has none. */
  readonly parent: bigint;
  /** Name of the cgroup below its parent; empty for the root. */
  readonly name: string;
}

/**
 * Returns where the cgroup `path` is, or will be.
 * @throws AbsentError if its parent does not exist, NotSupportedError without cgroup v2
 */
export function locateCgroup(path: string): CgroupLocation {
  const mount = requireCgroup2();
  if (path === "/") return { directory: mount, parent: 0n, name: "" };
  const directory = join(mount, dirname(path));
  const found = statSync(directory, { bigint: true, throwIfNoEntry: false });
  if (!found?.isDirectory()) {
    const isSlice = directory.endsWith(".slice");
    const command = isSlice ? `systemctl start ${basename(directory)}` : `mkdir ${directory}`;
    throw new AbsentError(
      `the cgroup ${path} cannot be adopted: its parent ${directory} does not exist; run '${command}'`,
    );
  }
  return { directory, parent: found.ino, name: basename(path) };
}

/**
 * Returns the path of a cgroup to adopt as {@link cgroupText} does; its parent must exist.
 * @throws UsageError, NotSupportedError
 */
export function adoptablePath(text: string): string {
  const path = cgroupText(text);
  locateCgroup(path);
  return path;
}

/** Returns whether the kernel writes `path` like this, and an adoption's record can store it. */
function isCanonical(path: string): boolean {
  if (path === "/") return true;
  const [first, ...names] = path.split("/");
  const fits = (text: string, size: number) => Buffer.byteLength(text) < size;
  return (
    first === "" &&
    names.length > 0 &&
    fits(path, CGROUP_PATH_LEN) &&
    names.every((name) => name !== "" && !/^\.\.?$/.test(name) && fits(name, CGROUP_NAME_LEN))
  );
}

/**
 * Returns the cgroup of a process, or null if it has ended or cgroup v2 is not mounted.
 * @throws EMFILE
 */
export function cgroupOf(pid: number): string | null {
  try {
    return /^0::(.*)$/m.exec(readFileSync(`/proc/${pid}/cgroup`, "utf8"))?.[1] ?? null;
  } catch (error) {
    if (isExhausted(error)) throw error;
    return null;
  }
}

/** Returns whether `path` is `ancestor` or below it. */
export function isBelow(path: string | null, ancestor: string): boolean {
  const top = ancestor.replace(/\/+$/, "");
  return path !== null && (path === top || path.startsWith(`${top}/`));
}
