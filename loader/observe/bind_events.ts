/** Bind events: a BPF program reports each bind() of a TCP socket to a watched port. */
import { openSync, statSync } from "node:fs";
import { BpfMap } from "../bpf/map.ts";
import { BpfObject } from "../bpf/object.ts";
import { BIND_BUDGET, BOUND_PROGRAMS, LAYOUT, RODATA } from "../core/abi.ts";
import { Owned } from "../owned.ts";
import * as guard from "../sys/guard.ts";
import * as libc from "../sys/libc.ts";
import { RingBuffer } from "../sys/ring_buffer.ts";

/** Ports per bit of `ranges`, and bits per word of `ports`: as in bpf/bind_events.bpf.c. */
const RANGE = 1024;
const WORD_BITS = 64;
const ALL_BITS = 2n ** BigInt(WORD_BITS) - 1n;
/** The words of `ports` with every bit. */
const EVERY_PORT: ReadonlyMap<number, bigint> = new Map(
  Array.from({ length: 65_536 / WORD_BITS }, (_, word) => [word, ALL_BITS]),
);
/** A value of `netns_ports`, whose keys are all that counts. */
const PRESENT = Buffer.alloc(1);

/** Instead of the inode number of a network namespace: every one. */
export const EVERY_NETNS = 0;

/** The binds to one port, or to every port. */
export interface WatchedPort {
  readonly port: number | null;
  /** Inode number of the network namespace, or {@link EVERY_NETNS}. */
  readonly netns: number;
}

/**
 * Receives a batch of binds.
 * @param pids the processes; 0 stands for a process outside our pid namespace
 * @param tookMs time it took to read the batch
 */
export type Bound = (pids: ReadonlySet<number>, tookMs: number) => void;

/**
 * Reports binds by processes below a cgroup: BIND_BUDGET of them, and as many again after each
 * {@link permit}. The kernel detaches it when we exit.
 */
export class BindEvents implements Disposable {
  readonly #object: BpfObject;
  readonly #own: Disposable;
  readonly #maps = new Map<string, BpfMap>();
  /** The words of the map `ports` that are not 0, and the keys of `netns_ports`. */
  #words: ReadonlyMap<number, bigint> = new Map();
  #keys: ReadonlySet<bigint> = new Set();
  /** {@link missed} at the last call of {@link permit}, and when it is disposed. */
  #missedBefore = 0;
  #isDisposed = false;

  /**
   * @param cgroup path of a cgroup v2 directory
   * @throws SysError if the kernel refuses
   */
  constructor(cgroup: string, watched: Iterable<WatchedPort>, bound: Bound) {
    let pids = new Set<number>();
    let beganMs = 0;
    const batch = () => {
      const reported = pids;
      pids = new Set();
      bound(reported, performance.now() - beganMs);
    };
    const { pid } = LAYOUT.rm_bind_event.members;
    const record = (bytes: Buffer) => {
      if (pids.size === 0) beganMs = performance.now();
      pids.add(bytes.readUInt32LE(pid));
    };
    using own = new Owned();
    this.#object = own.use(new BpfObject("bind_events"));
    own.defer(() => {
      for (const map of this.#maps.values()) map[Symbol.dispose]();
    });
    this.#object.setData(RODATA, ownPidns());
    this.#object.load();
    this.permit();
    this.watch(watched);
    own.use(new RingBuffer(this.#object.mapFd("events"), batch, record));
    using opened = new Owned();
    const fd = opened.fd(openSync(cgroup, "r"));
    for (const name of BOUND_PROGRAMS) own.use(this.#object.attachCgroup(name, fd));
    this.#own = own.move();
  }

  /** Replaces what is watched. Binds that stay watched are reported throughout. */
  watch(watched: Iterable<WatchedPort>): void {
    const all = [...watched];
    const byNetns = this.#map("netns_ports");
    const local = all.filter(({ netns, port }) => netns !== EVERY_NETNS && port !== null);
    let keys = new Set(local.map(keyOf));
    const hasRoom = keys.size <= byNetns.shape.entries;
    if (!hasRoom) keys = new Set();
    const everywhere = all.filter(({ netns }) => !hasRoom || netns === EVERY_NETNS);

    const isAll = all.some(({ port }) => port === null);
    const words = isAll ? EVERY_PORT : bitsOf(portsIn(everywhere));
    for (const [word, bits] of words) this.#setPorts(word, bits);
    for (const key of keys) if (!this.#keys.has(key)) byNetns.update(bytesOf(key), PRESENT);
    const ranges = bitsOf(portsIn(all).map((port) => Math.floor(port / RANGE)));
    this.#map("ranges").update(0, bytesOf(isAll ? ALL_BITS : (ranges.get(0) ?? 0n)));
    for (const word of this.#words.keys()) if (!words.has(word)) this.#setPorts(word, 0n);
    for (const key of this.#keys) if (!keys.has(key)) byNetns.delete(bytesOf(key));
    this.#words = words;
    this.#keys = keys;
  }

  #setPorts(word: number, bits: bigint): void {
    if (this.#words.get(word) !== bits) this.#map("ports").update(word, bytesOf(bits));
  }

  /**
   * Permits BIND_BUDGET more reports. Returns how many binds since the last call were not reported.
   * @requires a batch since the last call, so that the ring buffer has room
   */
  permit(): number {
    const { taken } = this.#budget();
    this.#map("budget").writeStart(bytesOf(BigInt(taken + BIND_BUDGET)));
    const before = this.#missedBefore;
    this.#missedBefore = this.missed; // read last, so that none before the limit is left out
    return this.#missedBefore - before;
  }

  /** Binds that were not reported, since the start. */
  get missed(): number {
    return this.#isDisposed ? this.#missedBefore : this.#budget().missed;
  }

  #budget() {
    return LAYOUT.rm_bind_budget.decode(this.#map("budget").read());
  }

  #map(name: string): BpfMap {
    const known = this.#maps.get(name);
    if (known) return known;
    const map = new BpfMap(libc.duplicate(this.#object.mapFd(name)));
    this.#maps.set(name, map);
    return map;
  }

  [Symbol.dispose](): void {
    if (!this.#isDisposed) this.#missedBefore = this.missed;
    this.#isDisposed = true;
    this.#own[Symbol.dispose]();
  }
}

/** Returns the program's .rodata: our pid namespace. */
function ownPidns(): Buffer {
  const out = Buffer.alloc(4);
  out.writeUInt32LE(statSync("/proc/self/ns/pid").ino);
  return out;
}

const portsIn = (watched: readonly WatchedPort[]): number[] =>
  watched.flatMap(({ port }) => (port === null ? [] : guard.port(port)));

/** Returns the key of `netns_ports`. */
function keyOf({ port, netns }: WatchedPort): bigint {
  return (
    (BigInt(guard.uint32("a network namespace", netns)) << 16n) | BigInt(guard.port(port ?? 0))
  );
}

/** Returns the words, by index, in which the bit of each number is set. */
function bitsOf(numbers: Iterable<number>): Map<number, bigint> {
  const words = new Map<number, bigint>();
  for (const number of numbers) {
    const word = Math.floor(number / WORD_BITS);
    words.set(word, (words.get(word) ?? 0n) | (1n << BigInt(number % WORD_BITS)));
  }
  return words;
}

/** Returns the bytes of a 64-bit number. */
function bytesOf(value: bigint): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64LE(value);
  return bytes;
}
