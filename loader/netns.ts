/** Network namespaces: their identity, and the kernel's own counts of migrations in them. */
import { existsSync, readFileSync, statfsSync, statSync } from "node:fs";
import { UsageError } from "./errors.ts";

/** TcpExt counters (net/ipv4/proc.c): they count hops, and intended drops as failures. */
export interface KernelMigrations {
  readonly success: bigint;
  readonly failure: bigint;
}

/** Inode number of a network namespace, by path or pid. @throws UsageError when it is neither. */
export function netnsInode(pathOrPid: string | number): number {
  const path = typeof pathOrPid === "number" ? `/proc/${pathOrPid}/ns/net` : pathOrPid;
  // NSFS_MAGIC, uapi/linux/magic.h
  if (!existsSync(path) || statfsSync(path).type !== 0x6e736673) {
    throw new UsageError(
      `${path} is not a network namespace: name a process, or a file such as /run/netns/NAME`,
    );
  }
  return statSync(path).ino;
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
