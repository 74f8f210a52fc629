/** Network namespaces: their identity, and the kernel's own counts of migrations in them. */
import { readFileSync, statfsSync, statSync } from "node:fs";
import { PermissionError, UsageError } from "./errors.ts";

const NSFS_MAGIC = 0x6e736673; // uapi/linux/magic.h

/** TcpExt counters (net/ipv4/proc.c): they count hops, and intended drops as failures. */
export interface KernelMigrations {
  readonly success: bigint;
  readonly failure: bigint;
}

/**
 * Inode number of a network namespace, by path or pid.
 * @throws UsageError when it is neither, PermissionError when it may not be looked at
 */
export function netnsInode(pathOrPid: string | number): number {
  const path = typeof pathOrPid === "number" ? `/proc/${pathOrPid}/ns/net` : pathOrPid;
  try {
    if (statfsSync(path).type === NSFS_MAGIC) return statSync(path).ino;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "EACCES") {
      throw new PermissionError(
        "CAP_SYS_PTRACE",
        `looking at ${path} is not permitted: run as root, or with CAP_SYS_PTRACE`,
        { cause: error },
      );
    }
  }
  throw new UsageError(
    `${path} is not a network namespace: name a process, or a file such as /run/netns/NAME`,
  );
}

/** What the kernel counted in the namespace of process `pid`; null: it does not count, or the process is gone. */
export function kernelMigrations(pid: number | "self"): KernelMigrations | null {
  let text: string;
  try {
    text = readFileSync(`/proc/${pid}/net/netstat`, "utf8");
  } catch {
    return null; // the process is gone; others of its namespace may not be
  }
  const [names = [], values = []] = text
    .split("\n")
    .filter((line) => line.startsWith("TcpExt:"))
    .map((line) => line.split(" "));
  const value = (name: string) => values[names.indexOf(name)];
  const success = value("TCPMigrateReqSuccess");
  const failure = value("TCPMigrateReqFailure");
  if (success === undefined || failure === undefined) return null;
  return { success: BigInt(success), failure: BigInt(failure) };
}

/** Whether this kernel knows migration at all: it then counts it. */
export function hasMigrateCounters(): boolean {
  return kernelMigrations("self") !== null;
}
