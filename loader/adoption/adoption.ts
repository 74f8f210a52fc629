/**
 * The pinned state of an adopted cgroup: links that set SO_REUSEPORT at its binds, their ports, and
 * the counts by port.
 */
import { closeSync, existsSync, openSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { BpfMap } from "../bpf/map.ts";
import { BpfObject } from "../bpf/object.ts";
import { differ, obtain, pin } from "../bpf/pin.ts";
import { ABI_VERSION, BIND_PROGRAMS } from "../core/abi.ts";
import { ADOPTION_MAPS } from "../core/map_shapes.ts";
import { AbiMismatchError, ConflictError, hasCode } from "../errors.ts";
import { locateCgroup } from "../host/cgroup.ts";
import { checkPtr, checkRet } from "../sys/check.ts";
import * as bpf from "../sys/libbpf.ts";
import * as libc from "../sys/libc.ts";
import {
  type AdoptedPort,
  type AdoptionRecord,
  decodeAdoption,
  decodeCounts,
  encodeAdoption,
  encodeCounts,
  encodePort,
  unbound,
} from "./adoption_record.ts";

type AdoptionMap = keyof typeof ADOPTION_MAPS;
const MAP_NAMES = Object.keys(ADOPTION_MAPS) as AdoptionMap[];

/** Owns file descriptors of the pinned maps of one adoption. */
export class Adoption implements Disposable {
  readonly record: AdoptionRecord;
  /** The links are attached to the parent cgroup; false after that was removed. */
  readonly inForce: boolean;
  readonly #maps: Readonly<Record<AdoptionMap, BpfMap>>;

  private constructor(maps: Record<AdoptionMap, BpfMap>, inForce: boolean) {
    this.#maps = maps;
    this.inForce = inForce;
    this.record = decodeAdoption(maps.adoption.lookup(0));
  }

  /**
   * Loads an adoption of the cgroup `path`, effective at once, and pins it into the empty directory
   * `unfinished`. `ports` continue their counts.
   * @throws UsageError if the cgroup's parent does not exist, ConflictError if it takes no programs
   */
  static create(path: string, ports: readonly AdoptedPort[], unfinished: string): void {
    const location = locateCgroup(path);
    using object = new BpfObject("adopt");
    object.load();
    for (const map of MAP_NAMES) pin(object.mapFd(map), join(unfinished, map));
    fill(
      unfinished,
      { abiVersion: ABI_VERSION, path, name: location.name, parent: location.parent },
      ports,
    );
    const fd = openSync(location.directory, "r");
    try {
      for (const name of BIND_PROGRAMS) {
        const link = bpf.bpf_program__attach_cgroup(object.program(name), fd);
        const own = checkPtr("bpf_program__attach_cgroup", link);
        try {
          pin(bpf.bpf_link__fd(own), join(unfinished, name));
        } finally {
          bpf.bpf_link__destroy(own);
        }
      }
    } catch (error) {
      if (!hasCode(error, "EPERM")) throw error;
      throw new ConflictError(
        `the cgroup ${path} cannot be adopted: a program attached to ${location.directory} or above allows no other; detach that one`,
        { cause: error },
      );
    } finally {
      closeSync(fd);
    }
  }

  /**
   * Opens the pins in `directory`.
   * @throws AbiMismatchError with every difference if another version made them
   */
  static open(directory: string): Adoption {
    const differences: string[] = [];
    const maps: Partial<Record<AdoptionMap, BpfMap>> = {};
    for (const pin of [...MAP_NAMES, ...BIND_PROGRAMS]) {
      if (!existsSync(join(directory, pin))) differences.push(`${pin} is missing`);
    }
    for (const map of differences.length > 0 ? [] : MAP_NAMES) {
      maps[map] = new BpfMap(obtain(join(directory, map)));
      differences.push(...differ(map, ADOPTION_MAPS[map], maps[map].shape));
    }
    if (differences.length === 0) {
      const inForce = BIND_PROGRAMS.every((name) => isAttached(join(directory, name)));
      const adoption = new Adoption(maps as Record<AdoptionMap, BpfMap>, inForce);
      const { abiVersion } = adoption.record;
      if (abiVersion === ABI_VERSION) return adoption;
      differences.push(`ABI version ${abiVersion}, not ${ABI_VERSION}`);
    }
    for (const map of Object.values(maps)) map[Symbol.dispose]();
    throw new AbiMismatchError(directory, differences);
  }

  /** Returns the adopted ports in ascending order. */
  ports(): AdoptedPort[] {
    return this.#maps.ports
      .keys()
      .flatMap((key) => {
        const value = this.#maps.ports.lookup(key);
        return value ? [decodeCounts(key, value)] : [];
      })
      .sort((a, b) => a.port - b.port);
  }

  /** Adopts a further port. Returns false if it is adopted already. */
  add(port: number): boolean {
    const key = encodePort(port);
    if (this.#maps.ports.lookup(key)) return false;
    this.#maps.ports.update(key, encodeCounts(unbound(port)));
    return true;
  }

  /** Stops adopting a port. */
  remove(port: number): void {
    this.#maps.ports.delete(encodePort(port));
  }

  [Symbol.dispose](): void {
    for (const map of Object.values(this.#maps)) map[Symbol.dispose]();
  }
}

/**
 * Detaches the links pinned in a directory, of any version. Removing their pins does so too, but
 * the kernel can take a while.
 */
export function detachLinks(directory: string): void {
  for (const name of readdirSync(directory)) {
    if (!(BIND_PROGRAMS as readonly string[]).includes(name)) continue;
    const fd = obtain(join(directory, name));
    try {
      checkRet("bpf_link_detach", bpf.bpf_link_detach(fd));
    } finally {
      libc.close(fd);
    }
  }
}

function fill(directory: string, record: AdoptionRecord, ports: readonly AdoptedPort[]): void {
  using adoption = new BpfMap(obtain(join(directory, "adoption")));
  using map = new BpfMap(obtain(join(directory, "ports")));
  adoption.update(0, encodeAdoption(record));
  for (const port of ports) map.update(encodePort(port.port), encodeCounts(port));
}

/**
 * Reads struct bpf_link_info (uapi/linux/bpf.h): the cgroup's id is 0 after the link was detached.
 */
function isAttached(link: string): boolean {
  const info = Buffer.alloc(32);
  const len: [number] = [info.length];
  const fd = obtain(link);
  try {
    checkRet("bpf_obj_get_info_by_fd", bpf.bpf_obj_get_info_by_fd(fd, info, len));
  } finally {
    libc.close(fd);
  }
  return info.readBigUInt64LE(16) !== 0n;
}
