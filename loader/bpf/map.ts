/** A BPF map by file descriptor: lookups and updates with checked sizes. */

import { type MapShape, MMAPABLE } from "../core/map_shapes.ts";
import { hasCode } from "../errors.ts";
import { Owned } from "../owned.ts";
import { checkRet } from "../sys/check.ts";
import * as guard from "../sys/guard.ts";
import * as bpf from "../sys/libbpf.ts";
import * as libc from "../sys/libc.ts";
import { Mapping } from "../sys/mapping.ts";

const INFO_SIZE = 88; // struct bpf_map_info of Linux 5.13; later members stay out
const CREATE_OPTIONS = 32; // struct bpf_map_create_opts to its map_flags

function mapInfo(fd: number): Buffer {
  const info = Buffer.alloc(INFO_SIZE);
  const len: [number] = [info.length];
  checkRet("bpf_obj_get_info_by_fd", bpf.bpf_obj_get_info_by_fd(guard.fd(fd), info, len));
  return info;
}

/** Returns the shape of a map as the kernel reports it; sizes in bytes. */
export function mapShape(fd: number): Required<MapShape> {
  const info = mapInfo(fd);
  return {
    type: info.readUInt32LE(0),
    key: info.readUInt32LE(8),
    value: info.readUInt32LE(12),
    entries: info.readUInt32LE(16),
    flags: info.readUInt32LE(20),
  };
}

/** Scratch space for a numeric key, valid during one call. */
const NUMBER = Buffer.alloc(4);

/** A key: an unsigned 32-bit number, or bytes. */
export type Key = number | Buffer;

/** Owns a file descriptor on a map. */
export class BpfMap implements Disposable {
  readonly shape: Required<MapShape>;
  #fd: number;
  /** The mapped memory; undefined before the first use, null if it cannot be mapped. */
  #memory: Mapping | null | undefined;

  /** Creates a map outside any object. @param name shown by the kernel */
  static create(name: string, { type, key, value, entries, flags }: Required<MapShape>): BpfMap {
    const options = { sz: CREATE_OPTIONS, map_flags: flags };
    const fd = bpf.bpf_map_create(type, name, key, value, entries, options);
    return new BpfMap(checkRet("bpf_map_create", fd));
  }

  /** Takes ownership of `fd`. */
  constructor(fd: number) {
    using own = new Owned();
    this.#fd = own.fd(fd);
    this.shape = mapShape(fd);
    own.release(this);
  }

  get fd(): number {
    if (this.#fd < 0) throw new Error("BPF map is closed");
    return this.#fd;
  }

  /** The kernel's number of the map, which no other map has before the numbers begin again. */
  get id(): number {
    return mapInfo(this.fd).readUInt32LE(4);
  }

  #key(key: Key): Buffer {
    if (typeof key !== "number") return guard.buffer("a map key", key, this.shape.key);
    NUMBER.writeUInt32LE(guard.uint32("a map key", key));
    return guard.buffer("a map key", NUMBER, this.shape.key);
  }

  /** Returns the bytes of a value, or null if the key has none. */
  lookup(key: Key): Buffer | null {
    const value = Buffer.allocUnsafe(this.shape.value);
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
    guard.buffer("a map value", value, this.shape.value);
    checkRet("bpf_map_update_elem", bpf.bpf_map_update_elem(this.fd, this.#key(key), value, 0));
  }

  /** Replaces consecutive entries of an array, starting at `first`, in one call. */
  write(first: number, values: Buffer): void {
    const entries = values.length / this.shape.value;
    const keys = Buffer.alloc(4 * entries);
    for (let i = 0; i < entries; i++) keys.writeUInt32LE(first + i, 4 * i);
    const count: [number] = [entries];
    const ret = bpf.bpf_map_update_batch(this.fd, keys, values, count, null);
    checkRet("bpf_map_update_batch", ret);
  }

  /** Removes an entry. Returns false if it did not exist (EINVAL from a sockmap). */
  delete(key: Key): boolean {
    try {
      checkRet("bpf_map_delete_elem", bpf.bpf_map_delete_elem(this.fd, this.#key(key)));
      return true;
    } catch (error) {
      if (hasCode(error, "ENOENT", "EINVAL")) return false;
      throw error;
    }
  }

  /** Returns every key of a hash. */
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

  /**
   * Returns consecutive values of an array, starting at entry `first`. Makes no system call if the
   * memory is mapped; otherwise one, at a third of a microsecond per entry.
   */
  read(first = 0, entries = this.shape.entries - first): Buffer {
    const size = this.shape.value;
    const memory = this.#mapped();
    if (memory) return memory.read(first * size, (first + entries) * size);
    const values = Buffer.allocUnsafe(entries * size);
    const [before, next] = [Buffer.alloc(4), Buffer.alloc(4)];
    if (first > 0) before.writeUInt32LE(guard.uint32("an entry", first - 1));
    const keys = Buffer.allocUnsafe(entries * 4);
    const count: [number] = [entries];
    const from = first > 0 ? before : null;
    const ret = bpf.bpf_map_lookup_batch(this.fd, from, next, keys, values, count, null);
    try {
      checkRet("bpf_map_lookup_batch", ret);
    } catch (error) {
      if (!hasCode(error, "ENOENT")) throw error; // the end of the map was reached
    }
    return values;
  }

  /** Returns bytes `from` (inclusive) to `to` (exclusive) of an array's only value. */
  readPart(from: number, to: number): Buffer {
    const memory = this.#mapped();
    if (memory) return memory.read(from, to);
    return (this.lookup(0) ?? Buffer.alloc(this.shape.value)).subarray(from, to);
  }

  /**
   * Replaces the first bytes of an array's only value while programs write to other bytes of it.
   * @throws SysError if the memory cannot be mapped
   */
  writeStart(bytes: Buffer): void {
    this.#memory ??= this.#map();
    this.#memory.writeStart(bytes);
  }

  /**
   * Adds to 64-bit words of an array, beginning at byte `from`, while programs add to them.
   * @throws SysError if the memory cannot be mapped
   */
  add(from: number, words: Float64Array): void {
    this.#memory ??= this.#map();
    this.#memory.add(from, words);
  }

  /**
   * Adds 1 to the first 64-bit word of an array, while other processes do, too. Returns the sum.
   * @throws SysError if the memory cannot be mapped
   */
  next(): number {
    this.#memory ??= this.#map();
    return Number(this.#memory.next());
  }

  /** Returns the mapped memory, or null if the kernel refuses (too many mappings, for example). */
  #mapped(): Mapping | null {
    if (this.#memory !== undefined) return this.#memory;
    this.#memory = null;
    // Mapped entries are padded to multiples of 8 (kernel/bpf/arraymap.c); results of a call are
    // not.
    if ((this.shape.flags & MMAPABLE) === 0 || this.shape.value % 8 !== 0) return null;
    try {
      this.#memory = this.#map();
    } catch {}
    return this.#memory;
  }

  #map(): Mapping {
    return new Mapping(this.fd, this.shape.entries * this.shape.value);
  }

  [Symbol.dispose](): void {
    if (this.#fd < 0) return;
    this.#memory?.[Symbol.dispose]();
    libc.close(this.#fd);
    this.#fd = -1;
  }
}
