/** A BPF map by file descriptor: lookups and updates with checked sizes. */
import { MAP_TYPE, type MapShape } from "./abi.ts";
import { hasCode } from "./errors.ts";
import { checkRet } from "./sys/check.ts";
import * as guard from "./sys/guard.ts";
import * as bpf from "./sys/libbpf.ts";
import * as libc from "./sys/libc.ts";

const CPUS = bpf.libbpf_num_possible_cpus();
const INFO_SIZE = 88; // struct bpf_map_info of Linux 5.13; later members stay out

/** Number of CPUs the kernel keeps per-CPU values for. */
export const possibleCpus = (): number => checkRet("libbpf_num_possible_cpus", CPUS);

/** What the kernel says of a map: sizes in bytes. */
export function mapShape(fd: number): Required<MapShape> {
  const info = Buffer.alloc(INFO_SIZE);
  const len: [number] = [info.length];
  checkRet("bpf_obj_get_info_by_fd", bpf.bpf_obj_get_info_by_fd(guard.fd(fd), info, len));
  return {
    type: info.readUInt32LE(0),
    key: info.readUInt32LE(8),
    value: info.readUInt32LE(12),
    entries: info.readUInt32LE(16),
  };
}

/** A key: an unsigned 32-bit number, or bytes. */
export type Key = number | Buffer;

/** Owns a file descriptor on a map. */
export class BpfMap implements Disposable {
  readonly shape: Required<MapShape>;
  #fd: number;

  /** A map without keys, such as a ring buffer. */
  static create(type: number, entries: number): BpfMap {
    const fd = bpf.bpf_map_create(type, null, 0, 0, entries, null);
    return new BpfMap(checkRet("bpf_map_create", fd));
  }

  /** Takes ownership of `fd`. */
  constructor(fd: number) {
    this.#fd = fd;
    this.shape = mapShape(fd);
  }

  get fd(): number {
    if (this.#fd < 0) throw new Error("BPF map is closed");
    return this.#fd;
  }

  #key(key: Key): Buffer {
    if (typeof key !== "number") return guard.bytes("a map key", key, this.shape.key);
    const bytes = Buffer.alloc(4);
    bytes.writeUInt32LE(guard.u32("a map key", key));
    return guard.bytes("a map key", bytes, this.shape.key);
  }

  /** The value's bytes (of a per-CPU map those of every CPU), or null where there is none. */
  lookup(key: Key): Buffer | null {
    const value = Buffer.alloc(this.#stride);
    try {
      checkRet("bpf_map_lookup_elem", bpf.bpf_map_lookup_elem(this.fd, this.#key(key), value));
    } catch (error) {
      if (hasCode(error, "ENOENT")) return null;
      throw error;
    }
    return value;
  }

  /** Creates or replaces an entry. */
  update(key: Key, value: Buffer): void {
    guard.bytes("a map value", value, this.shape.value);
    checkRet("bpf_map_update_elem", bpf.bpf_map_update_elem(this.fd, this.#key(key), value, 0));
  }

  /** Removes an entry; false where there was none (sockmaps say EINVAL for that). */
  delete(key: Key): boolean {
    try {
      checkRet("bpf_map_delete_elem", bpf.bpf_map_delete_elem(this.fd, this.#key(key)));
      return true;
    } catch (error) {
      if (hasCode(error, "ENOENT", "EINVAL")) return false;
      throw error;
    }
  }

  /** Every key of a hash. */
  keys(): Buffer[] {
    const keys: Buffer[] = [];
    for (;;) {
      const next = Buffer.alloc(this.shape.key);
      const ret = bpf.bpf_map_get_next_key(this.fd, keys.at(-1) ?? null, next);
      try {
        checkRet("bpf_map_get_next_key", ret);
      } catch (error) {
        if (hasCode(error, "ENOENT")) return keys;
        throw error;
      }
      keys.push(next);
    }
  }

  /** Bytes of one entry as user space sees it: per-CPU maps give one value a possible CPU. */
  get #stride(): number {
    const { type, value } = this.shape;
    return type === MAP_TYPE.percpu_array ? Math.ceil(value / 8) * 8 * possibleCpus() : value;
  }

  /**
   * Every value of an array in one call, or the first so many (the kernel takes a third of a
   * microsecond for each); of a per-CPU array all CPUs of entry 0, then of entry 1, ...
   */
  readAll(entries = this.shape.entries): Buffer {
    const stride = this.#stride;
    const values = Buffer.alloc(entries * stride);
    const keys = Buffer.alloc(entries * 4);
    const count: [number] = [entries];
    const ret = bpf.bpf_map_lookup_batch(this.fd, null, Buffer.alloc(8), keys, values, count, null);
    try {
      checkRet("bpf_map_lookup_batch", ret);
    } catch (error) {
      if (!hasCode(error, "ENOENT")) throw error; // the end of the map was reached
    }
    return values;
  }

  [Symbol.dispose](): void {
    if (this.#fd < 0) return;
    libc.close(this.#fd);
    this.#fd = -1;
  }
}
