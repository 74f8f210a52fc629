/** The kernel's own counts of migrations, by network namespace. */
import { closeSync, openSync, readFileSync, readSync } from "node:fs";
import type { GroupKey, Owner } from "../core/listener.ts";
import { isExhausted } from "../errors.ts";
import { TimeSlices } from "../time_slices.ts";
import { ownNetns } from "./netns_inode.ts";

/** TcpExt counters (net/ipv4/proc.c): they count hops, and intended drops as failures. */
export interface KernelMigrations {
  readonly success: number;
  readonly failure: number;
  /** SYNs and final ACKs that found an accept queue full (ListenOverflows), migrating or not. */
  readonly overflows: number;
}

/** A group and its listeners, whose owners are processes of its network namespace. */
interface OwnedGroup {
  readonly key: GroupKey;
  readonly listeners: readonly { readonly owners: readonly Owner[] }[];
}

/** Longer than the file ever was: a kernel's counters are some 4 KiB of text. */
const CHUNK = 64 * 1024;

/**
 * Reads the counts of network namespaces, also after the last process of one has exited: the file
 * descriptor on its counters keeps the namespace. So keep an instance for a short time only.
 */
export class KernelCounts implements Disposable {
  readonly #fds = new Map<number, number>();
  readonly #own = ownNetns();

  /** Returns the counts in every namespace of these groups, and of those of earlier calls. */
  read(groups: readonly OwnedGroup[]): ReadonlyMap<number, KernelMigrations> {
    for (const group of groups) this.#open(group);
    const counts = new Map<number, KernelMigrations>();
    for (const [netns, fd] of this.#fds) {
      const found = parse(readWhole(fd));
      if (found) counts.set(netns, found);
    }
    return counts;
  }

  #open({ key, listeners }: OwnedGroup): void {
    const pids = listeners.flatMap(({ owners }) => owners.map(({ pid }) => pid));
    for (const pid of key.netns === this.#own ? (["self"] as const) : pids) {
      if (this.#fds.has(key.netns)) return;
      try {
        this.#fds.set(key.netns, openSync(netstatOf(pid), "r"));
      } catch (error) {
        if (isExhausted(error)) throw error;
        // This process has exited; another one of the namespace may still run.
      }
    }
  }

  [Symbol.dispose](): void {
    for (const fd of this.#fds.values()) closeSync(fd);
    this.#fds.clear();
  }
}

/** Returns the counts in every namespace of these groups; the event loop turns meanwhile. */
export async function kernelCounts(
  groups: readonly OwnedGroup[],
): Promise<ReadonlyMap<number, KernelMigrations>> {
  const slices = new TimeSlices();
  const counts = new Map<number, KernelMigrations>();
  for (const group of groups) {
    if (counts.has(group.key.netns)) continue;
    using reader = new KernelCounts();
    for (const [netns, found] of reader.read([group])) counts.set(netns, found);
    await slices.between();
  }
  return counts;
}

/** Whether this kernel counts migrations, and so can migrate at all. */
export function hasMigrateCounters(): boolean {
  return parse(readFileSync(netstatOf("self"), "utf8")) !== null;
}

const netstatOf = (pid: number | "self") => `/proc/${pid}/net/netstat`;

/** Reads a file from its start. */
function readWhole(fd: number): string {
  const chunk = Buffer.allocUnsafe(CHUNK);
  let text = "";
  for (;;) {
    const n = readSync(fd, chunk, 0, CHUNK, text.length);
    if (n === 0) return text;
    text += chunk.toString("latin1", 0, n);
  }
}

/** Returns the counts of /proc/PID/net/netstat; null if this kernel does not count migrations. */
function parse(text: string): KernelMigrations | null {
  const [names = [], values = []] = text
    .split("\n")
    .filter((line) => line.startsWith("TcpExt:"))
    .map((line) => line.split(" "));
  const value = (name: string) => values[names.indexOf(name)];
  const success = value("TCPMigrateReqSuccess");
  const failure = value("TCPMigrateReqFailure");
  if (success === undefined || failure === undefined) return null;
  const overflows = Number(value("ListenOverflows") ?? 0);
  return { success: Number(success), failure: Number(failure), overflows };
}
