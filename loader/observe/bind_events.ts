/** Bind events: a BPF program reports each bind() of a TCP socket to a watched port. */
import { closeSync, openSync, statSync } from "node:fs";
import { BpfObject } from "../bpf/object.ts";
import { BOUND_PROGRAMS, LAYOUT, RODATA } from "../core/abi.ts";
import { checkPtr, checkRet } from "../sys/check.ts";
import * as guard from "../sys/guard.ts";
import * as bpf from "../sys/libbpf.ts";
import { RingBuffer } from "../sys/ring_buffer.ts";

/** Ports per bit of `ranges`, and bits per word of `ports`: as in bpf/bind_events.bpf.c. */
const RANGE = 1024;
const WORD_BITS = 64;

/** Reports binds to its ports by processes below a cgroup. The kernel detaches it when we exit. */
export class BindEvents implements Disposable {
  readonly #object = new BpfObject("bind_events");
  /** The words of the map `ports` that are not 0. */
  #words: ReadonlyMap<number, bigint> = new Map();
  readonly #links: bpf.Ptr<"bpf_link">[] = [];
  #ring: RingBuffer | null = null;

  /**
   * @param cgroup path of a cgroup v2 directory
   * @param bound called once for each batch of binds, with the pids of the processes; 0 stands for
   *   a process outside our pid namespace
   * @throws SysError if the kernel refuses
   */
  constructor(cgroup: string, ports: Iterable<number>, bound: (pids: ReadonlySet<number>) => void) {
    let pids = new Set<number>();
    const batch = () => {
      const reported = pids;
      pids = new Set();
      bound(reported);
    };
    const { pid } = LAYOUT.rm_bind_event.members;
    const record = (bytes: Buffer) => pids.add(bytes.readUInt32LE(pid));
    try {
      this.#object.setData(RODATA, ownPidns());
      this.#object.load();
      this.setPorts(ports);
      this.#ring = new RingBuffer(this.#object.mapFd("events"), batch, record);
      const fd = openSync(cgroup, "r");
      try {
        for (const name of BOUND_PROGRAMS) {
          const link = bpf.bpf_program__attach_cgroup(this.#object.program(name), fd);
          this.#links.push(checkPtr("bpf_program__attach_cgroup", link));
        }
      } finally {
        closeSync(fd);
      }
    } catch (error) {
      this[Symbol.dispose]();
      throw error;
    }
  }

  /** Replaces the ports. Binds to a port that stays are reported throughout. */
  setPorts(ports: Iterable<number>): void {
    const numbers = [...ports].map(guard.port);
    const words = bitsOf(numbers);
    for (const [word, bits] of words) {
      if (this.#words.get(word) !== bits) this.#write("ports", word, bits);
    }
    for (const word of this.#words.keys()) if (!words.has(word)) this.#write("ports", word, 0n);
    this.#words = words;
    const ranges = bitsOf(numbers.map((port) => Math.floor(port / RANGE)));
    this.#write("ranges", 0, ranges.get(0) ?? 0n);
  }

  #write(map: "ports" | "ranges", word: number, bits: bigint): void {
    const [key, value] = [Buffer.alloc(4), Buffer.alloc(8)];
    key.writeUInt32LE(word);
    value.writeBigUInt64LE(bits);
    const fd = this.#object.mapFd(map);
    checkRet("bpf_map_update_elem", bpf.bpf_map_update_elem(fd, key, value, 0));
  }

  [Symbol.dispose](): void {
    for (const link of this.#links.splice(0)) bpf.bpf_link__destroy(link);
    this.#ring?.[Symbol.dispose]();
    this.#ring = null;
    this.#object[Symbol.dispose]();
  }
}

/** Returns the program's .rodata: our pid namespace. */
function ownPidns(): Buffer {
  const out = Buffer.alloc(4);
  out.writeUInt32LE(statSync("/proc/self/ns/pid").ino);
  return out;
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
