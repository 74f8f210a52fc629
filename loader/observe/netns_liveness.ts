/**
 * Detection of network namespaces that have ended. The kernel reports no end, but the processes in
 * a namespace can be listed, and the mounts of it (`ip netns add`, container runtimes). A standby
 * keeps its namespace alive too, but without these no client can reach it.
 */
import { ownNetns } from "../net/netns_inode.ts";
import { readMountedNetns } from "./mounted_netns.ts";
import { ProcessList, type ProcessNamespaces } from "./process_list.ts";

/** Between two lists of processes, ms: one may miss a process that is being forked. */
export const NETNS_RESCAN_MS = 1_000;
/** Between two reads of mounts, ms, and the share of the time that they take at most. */
const MOUNTS_MS = 10_000;
const MOUNTS_SHARE = 0.05;

/** Where {@link NetnsLiveness} reads from; other functions in tests. */
export interface NetnsSources {
  processes(): readonly ProcessNamespaces[];
  /** Null: not every mount could be read. */
  mounted(processes: readonly ProcessNamespaces[]): Promise<ReadonlySet<number> | null>;
  /** ms, of a clock that measures how long a read takes. */
  now(): number;
}

/** Remembers the namespaces in which no process was found, and those that no mount keeps. */
export class NetnsLiveness implements Disposable {
  readonly #sources: NetnsSources;
  readonly #own = ownNetns();
  #list: ProcessList | null = null;
  #missing: ReadonlySet<number> = new Set();
  /** Of those that were missing when the last read of mounts began. */
  #unmounted: ReadonlySet<number> = new Set();
  #listedMs = Number.NEGATIVE_INFINITY;
  #mountsDueMs = Number.NEGATIVE_INFINITY;
  #isReading = false;

  constructor(sources?: NetnsSources) {
    this.#sources = sources ?? {
      processes: () => {
        this.#list ??= new ProcessList();
        return this.#list.read();
      },
      mounted: readMountedNetns,
      now: () => performance.now(),
    };
  }

  /**
   * Returns the namespaces without a process, twice, and without a mount in between.
   * @param inodes candidates, whose groups have no listener: if there are none but ours, nothing is
   *   read
   */
  findEnded(inodes: ReadonlySet<number>, nowMs: number): ReadonlySet<number> {
    const others = [...inodes].filter((inode) => inode !== this.#own);
    if (others.length === 0) this.#missing = this.#unmounted = new Set();
    if (others.length === 0 || nowMs - this.#listedMs < NETNS_RESCAN_MS) return new Set();
    this.#listedMs = nowMs;
    const processes = this.#sources.processes();
    const used = new Set(processes.map(({ netns }) => netns));
    const missing = new Set(others.filter((inode) => !used.has(inode)));
    const ended = [...missing].filter((it) => this.#missing.has(it) && this.#unmounted.has(it));
    this.#missing = missing;
    this.#unmounted = new Set([...this.#unmounted].filter((inode) => missing.has(inode)));
    if (missing.size > ended.length) void this.#readMounts(processes, missing, nowMs);
    return new Set(ended);
  }

  async #readMounts(
    processes: readonly ProcessNamespaces[],
    missing: ReadonlySet<number>,
    nowMs: number,
  ): Promise<void> {
    if (this.#isReading || nowMs < this.#mountsDueMs) return;
    this.#isReading = true;
    const beganMs = this.#sources.now();
    try {
      const mounted = await this.#sources.mounted(processes).catch(() => null);
      if (mounted === null) return;
      this.#unmounted = new Set([...missing].filter((inode) => !mounted.has(inode)));
    } finally {
      const tookMs = this.#sources.now() - beganMs;
      this.#mountsDueMs = nowMs + Math.max(MOUNTS_MS, tookMs / MOUNTS_SHARE);
      this.#isReading = false;
    }
  }

  [Symbol.dispose](): void {
    this.#list?.[Symbol.dispose]();
    this.#list = null;
  }
}
