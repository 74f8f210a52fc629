/** Bind events: the kernel tells when a TCP socket is bound to a watched port. */
import { closeSync, openSync } from "node:fs";
import { BOUND_PROGRAMS } from "./abi.ts";
import { BpfObject } from "./object.ts";
import { checkPtr, checkRet } from "./sys/check.ts";
import * as guard from "./sys/guard.ts";
import * as bpf from "./sys/libbpf.ts";
import { RingBuffer } from "./sys/ring.ts";

/** Calls back for each batch of binds to its ports, in any process below `cgroup`. Ends with the process. */
export class BindEvents implements Disposable {
  readonly #object = new BpfObject("notify");
  readonly #ports = new Set<number>();
  readonly #links: bpf.Ptr<"bpf_link">[] = [];
  #ring: RingBuffer | null = null;

  constructor(cgroup: string, ports: Iterable<number>, arrived: () => void) {
    try {
      this.#object.load();
      this.setPorts(ports);
      this.#ring = new RingBuffer(this.#object.mapFd("events"), arrived);
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

  /** Other ports from now on; what stays is not missed for a moment. */
  setPorts(ports: Iterable<number>): void {
    const wanted = new Set(ports);
    const map = this.#object.mapFd("ports");
    for (const port of wanted) {
      if (this.#ports.has(port)) continue;
      checkRet("bpf_map_update_elem", bpf.bpf_map_update_elem(map, keyOf(port), Buffer.of(1), 0));
      this.#ports.add(port);
    }
    for (const port of this.#ports) {
      if (wanted.has(port)) continue;
      checkRet("bpf_map_delete_elem", bpf.bpf_map_delete_elem(map, keyOf(port)));
      this.#ports.delete(port);
    }
  }

  [Symbol.dispose](): void {
    for (const link of this.#links.splice(0)) bpf.bpf_link__destroy(link);
    this.#ring?.[Symbol.dispose]();
    this.#ring = null;
    this.#object[Symbol.dispose]();
  }
}

function keyOf(port: number): Buffer {
  const key = Buffer.alloc(2);
  key.writeUInt16LE(guard.port(port));
  return key;
}
