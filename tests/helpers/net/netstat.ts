/** The kernel's counters and TCP sockets of this network namespace. */
import { readFileSync } from "node:fs";

export interface KernelMigrations {
  readonly success: number;
  readonly failure: number;
}

/** Reads TCPMigrateReqSuccess and TCPMigrateReqFailure of TcpExt. */
export function kernelMigrations(): KernelMigrations {
  const [names, values] = readFileSync("/proc/self/net/netstat", "utf8")
    .split("\n")
    .filter((line) => line.startsWith("TcpExt:"))
    .map((line) => line.split(" "));
  const read = (name: string): number => {
    const value = values?.[names?.indexOf(name) ?? -1];
    if (value === undefined) throw new Error(`no ${name} in /proc/self/net/netstat`);
    return Number(value);
  };
  return { success: read("TCPMigrateReqSuccess"), failure: read("TCPMigrateReqFailure") };
}

/** Returns how many migrations the kernel has counted since `before`, failed ones included. */
export function migrationsSince(before: KernelMigrations): number {
  const now = kernelMigrations();
  return now.success - before.success + (now.failure - before.failure);
}

const SYN_RECV = 3; // also shown for NEW_SYN_RECV, a request without a full socket
const LISTEN = 10;

interface Row {
  readonly state: number;
  readonly rxQueue: number;
}

function rows(port: number): Row[] {
  return ["tcp", "tcp6"].flatMap((file) =>
    readFileSync(`/proc/self/net/${file}`, "utf8")
      .split("\n")
      .slice(1)
      .map((line) => line.trim().split(/\s+/))
      .filter((field) => field[1] && Number.parseInt(field[1].split(":")[1] ?? "", 16) === port)
      .map((field) => ({
        state: Number.parseInt(field[3] ?? "", 16),
        rxQueue: Number.parseInt(field[4]?.split(":")[1] ?? "", 16),
      })),
  );
}

/** Returns how many connections are queued on all listeners of `port`. */
export function queued(port: number): number {
  return rows(port)
    .filter((row) => row.state === LISTEN)
    .reduce((sum, row) => sum + row.rxQueue, 0);
}

/** Returns the number of listening sockets on `port`. */
export function listening(port: number): number {
  return rows(port).filter((row) => row.state === LISTEN).length;
}

/** Returns how many handshakes on `port` lack their final ACK, Fast Open ones included. */
export function halfOpen(port: number): number {
  return rows(port).filter((row) => row.state === SYN_RECV).length;
}
