/**
 * The file descriptors that this process was started with. Must be loaded before anything that opens
 * a file: Node marks inherited ones close-on-exec as it does its own, so that later only their kind
 * tells them apart.
 *
 * What Node has opened by then are the epoll instances, eventfds and pipes of its event loops
 * (uv_loop_init() and uv_signal_init() of libuv), with the lowest numbers that were free.
 */
import { readdirSync, readFileSync, readlinkSync } from "node:fs";

/** What a descriptor refers to (/proc/PID/fd), and whether it was opened for writing only. */
export interface OpenFile {
  readonly target: string;
  readonly isWriteEnd: boolean;
}

/** Returns the inherited ones of all descriptors of a process, by their numbers. */
export function inheritedOf(files: ReadonlyMap<number, OpenFile>): Set<number> {
  const numbers = [...files.keys()].toSorted((a, b) => a - b);
  // Node's first one: every lower number was in use before.
  const first = numbers.find((fd) => files.get(fd)?.target === "anon_inode:[eventpoll]") ?? 0;
  const written = new Set([...files.values()].flatMap((f) => (f.isWriteEnd ? f.target : [])));
  const read = new Set([...files.values()].flatMap((f) => (f.isWriteEnd ? [] : f.target)));
  // Both ends of Node's pipes are in this process.
  const isNodes = (target: string) =>
    target.startsWith("anon_inode:") ||
    (target.startsWith("pipe:") && written.has(target) && read.has(target));
  return new Set(numbers.filter((fd) => fd < first || !isNodes(files.get(fd)?.target ?? "")));
}

function openFiles(): Map<number, OpenFile> {
  const files = new Map<number, OpenFile>();
  for (const fd of readdirSync("/proc/self/fd").map(Number)) {
    try {
      const target = readlinkSync(`/proc/self/fd/${fd}`);
      const flags = /^flags:\s+(\d+)$/m.exec(readFileSync(`/proc/self/fdinfo/${fd}`, "utf8"));
      // O_ACCMODE and O_WRONLY of asm-generic/fcntl.h; the number is octal.
      files.set(fd, { target, isWriteEnd: (Number.parseInt(flags?.[1] ?? "0", 8) & 3) === 1 });
    } catch {
      // the descriptor that read the directory
    }
  }
  return files;
}

/** Those of this process. Only `store put` asks; it costs a fifth of a millisecond. */
export const inheritedFds: ReadonlySet<number> =
  process.argv[2] === "store" ? inheritedOf(openFiles()) : new Set();
