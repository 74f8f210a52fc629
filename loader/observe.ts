/** observe: every listener of the host, in one read of the task_file iterator. */
import { readSync, statSync } from "node:fs";
import { COMM_LEN, ITERATOR_PROGRAM, LAYOUT } from "./abi.ts";
import { type Family, formatAddress } from "./address.ts";
import type { Listener, Owner, Protocol } from "./listener.ts";
import { BpfObject } from "./object.ts";
import { checkPtr, checkRet } from "./sys/check.ts";
import * as bpf from "./sys/libbpf.ts";
import * as libc from "./sys/libc.ts";

const RECORD = LAYOUT.rm_listener.size;
const AT = LAYOUT.rm_listener.members;
const PROTOCOLS: ReadonlyMap<number, Protocol> = new Map([
  [libc.IPPROTO_TCP, "tcp"],
  [libc.IPPROTO_UDP, "udp"],
  [libc.IPPROTO_MPTCP, "mptcp"],
]);

/** Reads listeners; holds the loaded iterator between reads. */
export class Observer implements Disposable {
  readonly #object: BpfObject;
  #link: bpf.Ptr<"bpf_link"> | null;

  /** @param options.udp also read bound UDP sockets. */
  constructor(options: { readonly udp?: boolean } = {}) {
    this.#object = new BpfObject("listeners");
    try {
      this.#object.setData(".rodata", parameters(options.udp === true));
      this.#object.load();
      this.#link = checkPtr(
        "bpf_program__attach_iter",
        bpf.bpf_program__attach_iter(this.#object.program(ITERATOR_PROGRAM), null),
      );
    } catch (error) {
      this.#object[Symbol.dispose]();
      throw error;
    }
  }

  /** One read: each listener once, with all its owners. */
  read(): Listener[] {
    if (this.#link === null) throw new Error("Observer is closed");
    const fd = checkRet("bpf_iter_create", bpf.bpf_iter_create(bpf.bpf_link__fd(this.#link)));
    try {
      return decode(readAll(fd));
    } finally {
      libc.close(fd);
    }
  }

  [Symbol.dispose](): void {
    if (this.#link === null) return;
    bpf.bpf_link__destroy(this.#link);
    this.#link = null;
    this.#object[Symbol.dispose]();
  }
}

function parameters(udp: boolean): Buffer {
  const { size, members: at } = LAYOUT.rm_observe;
  const out = Buffer.alloc(size);
  out.writeUInt32LE(statSync("/proc/self/ns/pid").ino, at.pidns);
  out.writeUInt8(udp ? 1 : 0, at.udp);
  return out;
}

function readAll(fd: number): Buffer {
  const chunks: Buffer[] = [];
  for (;;) {
    const chunk = Buffer.allocUnsafe(64 * 1024);
    const n = readSync(fd, chunk, 0, chunk.length, null);
    if (n === 0) return Buffer.concat(chunks);
    chunks.push(chunk.subarray(0, n));
  }
}

function decode(bytes: Buffer): Listener[] {
  const listeners = new Map<bigint, Listener & { owners: Owner[] }>();
  for (let at = 0; at + RECORD <= bytes.length; at += RECORD) {
    const r = bytes.subarray(at, at + RECORD);
    const cookie = r.readBigUInt64LE(AT.cookie);
    const comm = r.toString("utf8", AT.comm, AT.comm + COMM_LEN);
    const owner: Owner = {
      pid: r.readUInt32LE(AT.pid),
      fd: r.readUInt32LE(AT.fd),
      comm: comm.slice(0, comm.indexOf("\0")),
      startMs: Number(r.readBigUInt64LE(AT.start_ns) / 1_000_000n),
    };
    const known = listeners.get(cookie);
    if (known) {
      known.owners.push(owner);
      continue;
    }
    const family: Family = r.readUInt16LE(AT.family) === libc.AF_INET ? "ipv4" : "ipv6";
    listeners.set(cookie, {
      cookie,
      key: {
        netns: r.readUInt32LE(AT.netns),
        family,
        address: formatAddress(family, r.subarray(AT.addr, AT.addr + 16)),
        port: r.readUInt16LE(AT.port),
        ifindex: r.readUInt32LE(AT.ifindex),
        v6only: family === "ipv6" && r.readUInt8(AT.v6only) !== 0,
      },
      protocol: PROTOCOLS.get(r.readUInt16LE(AT.protocol)) ?? "tcp",
      uid: r.readUInt32LE(AT.uid),
      reuseport: r.readUInt8(AT.reuseport) !== 0,
      group: r.readBigUInt64LE(AT.group),
      groupSize: r.readUInt16LE(AT.group_size),
      programId: r.readUInt8(AT.has_prog) ? r.readUInt32LE(AT.prog_id) : null,
      sockarray: r.readUInt8(AT.sockarray) !== 0,
      queueLength: r.readUInt32LE(AT.queue_length),
      queueLimit: r.readUInt32LE(AT.queue_limit),
      halfOpen: r.readUInt32LE(AT.half_open),
      owners: [owner],
    });
  }
  return [...listeners.values()];
}
