/** The kernel's own counts of migrations, by network namespace. */
import { closeSync, openSync, readFileSync, readSync } from "node:fs";
import type { GroupKey, Owner } from "../core/listener.ts";
import { atOnce } from "../time_slices.ts";
import { netnsInode } from "./netns_inode.ts";

/** TcpExt counters (net/ipv4/proc.c): they count hops, and intended drops as failures. */
export interface KernelMigrations {
  readonly success: bigint;
  readonly failure: bigint;
}

/** Groups of which the namespaces, and processes in them, are known. */
type Groups = readonly {
  readonly key: GroupKey;
  readonly listeners: readonly { readonly owners: readonly Owner[] }[];
}[];

/** Longer than the file ever was: a kernel's counters are some 4 KiB of text. */
const CHUNK = 64 * 1024;

/**
 * Reads the counts of every namespace once seen, also when no process is left in it: the file
 * descriptor on its counters keeps the namespace. So this is not for long.
 */
export class KernelCounts implements Disposable {
  readonly #fds = new Map<number, number>();

  /** The counts in every namespace of these groups, and of those read before. */
  read(groups: Groups): ReadonlyMap<number, KernelMigrations> {
    return atOnce(this.steps(groups));
  }

  /** As {@link read}, a step each namespace. */
  *steps(groups: Groups): Generator<null, ReadonlyMap<number, KernelMigrations>> {
    const own = netnsInode("/proc/self/ns/net");
    for (const { key, listeners } of groups) {
      if (this.#fds.has(key.netns)) continue;
      const pids = listeners.flatMap(({ owners }) => owners.map(({ pid }) => pid));
      for (const pid of key.netns === own ? (["self"] as const) : pids) {
        if (!this.#fds.has(key.netns)) this.#open(key.netns, pid);
      }
    }
    const counts = new Map<number, KernelMigrations>();
    for (const [netns, fd] of this.#fds) {
      const found = parse(readWhole(fd));
      if (found) counts.set(netns, found);
      yield null;
    }
    return counts;
  }

  #open(netns: number, pid: number | "self"): void {
    try {
      this.#fds.set(netns, openSync(netstatOf(pid), "r"));
    } catch {
      // The process is gone; others of its namespace may not be.
    }
  }

  [Symbol.dispose](): void {
    for (const fd of this.#fds.values()) closeSync(fd);
    this.#fds.clear();
  }
}

/** The counts in every namespace that holds one of these groups. */
export function kernelCounts(groups: Groups): ReadonlyMap<number, KernelMigrations> {
  return atOnce(kernelCountsInSteps(groups));
}

/** As {@link kernelCounts}, a step each namespace. */
export function* kernelCountsInSteps(
  groups: Groups,
): Generator<null, ReadonlyMap<number, KernelMigrations>> {
  using counts = new KernelCounts();
  return yield* counts.steps(groups);
}

/** Whether this kernel knows migration at all: it then counts it. */
export function hasMigrateCounters(): boolean {
  return parse(readFileSync(netstatOf("self"), "utf8")) !== null;
}

const netstatOf = (pid: number | "self") => `/proc/${pid}/net/netstat`;

/** From the start, whatever was read before. */
function readWhole(fd: number): string {
  const chunk = Buffer.allocUnsafe(CHUNK);
  let text = "";
  for (;;) {
    const n = readSync(fd, chunk, 0, CHUNK, text.length);
    if (n === 0) return text;
    text += chunk.toString("latin1", 0, n);
  }
}

/** null: this kernel does not count migrations. */
function parse(text: string): KernelMigrations | null {
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
