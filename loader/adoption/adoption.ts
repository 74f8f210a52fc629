/**
 * The pinned state of an adopted cgroup: links that set SO_REUSEPORT at its binds, their ports, and
 * the counts by port.
 */
import { openSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { BpfMap } from "../bpf/map.ts";
import { BpfObject } from "../bpf/object.ts";
import { differ, obtain, obtainIfAny, pin } from "../bpf/pin.ts";
import { ABI_VERSION, BIND_PROGRAMS, LAYOUT } from "../core/abi.ts";
import { ADOPTION_MAPS } from "../core/map_shapes.ts";
import { fitted } from "../core/struct.ts";
import { AbiMismatchError, ConflictError, hasCode } from "../errors.ts";
import { locateCgroup } from "../host/cgroup.ts";
import { Owned } from "../owned.ts";
import { checkRet } from "../sys/check.ts";
import * as bpf from "../sys/libbpf.ts";
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
  /** It is of this version; what another one has pinned can be read, but not extended. */
  readonly isOurs: boolean;
  readonly #maps: Readonly<Record<AdoptionMap, BpfMap>>;
  readonly #own: Disposable;

  /** Takes everything that `own` has. */
  private constructor(maps: Record<AdoptionMap, BpfMap>, inForce: boolean, own: Owned) {
    this.#maps = maps;
    this.inForce = inForce;
    this.record = decodeAdoption(fitted(maps.adoption.lookup(0), LAYOUT.rm_adoption.size));
    this.isOurs = this.record.abiVersion === ABI_VERSION;
    this.#own = own.move();
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
    using own = new Owned();
    const fd = own.fd(openSync(location.directory, "r"));
    try {
      for (const name of BIND_PROGRAMS) {
        using link = object.attachCgroup(name, fd);
        pin(link.fd, join(unfinished, name));
      }
    } catch (error) {
      if (!hasCode(error, "EPERM")) throw error;
      throw new ConflictError(
        `the cgroup ${path} cannot be adopted: a program attached to ${location.directory} or above allows no other; detach that one`,
        { cause: error },
      );
    }
  }

  /**
   * Opens the pins in `directory`, of any version: their layout is append-only.
   * @throws AbiMismatchError with every difference if they cannot be read
   */
  static open(directory: string): Adoption {
    using own = new Owned();
    const differences: string[] = [];
    const maps: Partial<Record<AdoptionMap, BpfMap>> = {};
    for (const map of MAP_NAMES) {
      const fd = obtainIfAny(join(directory, map));
      if (fd === null) {
        differences.push(`${map} is missing`);
        continue;
      }
      maps[map] = own.use(new BpfMap(fd));
      const { type, key } = ADOPTION_MAPS[map];
      differences.push(...differ(map, { type, key }, maps[map].shape));
    }
    const links = BIND_PROGRAMS.map((name) => cgroupOfLink(join(directory, name)));
    for (const [i, name] of BIND_PROGRAMS.entries()) {
      if (links[i] === null) differences.push(`${name} is missing, or no link of a cgroup`);
    }
    if (differences.length > 0) throw new AbiMismatchError(directory, differences);
    const inForce = links.every((cgroup) => cgroup !== 0n);
    return new Adoption(maps as Record<AdoptionMap, BpfMap>, inForce, own);
  }

  /** Returns the adopted ports in ascending order. */
  ports(): AdoptedPort[] {
    return this.#maps.ports
      .keys()
      .flatMap((key) => {
        const value = this.#maps.ports.lookup(key);
        return value ? [decodeCounts(key, fitted(value, LAYOUT.rm_adopted_port.size))] : [];
      })
      .filter(({ port }) => port !== 0)
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
    this.#own[Symbol.dispose]();
  }
}

/**
 * Detaches the links pinned in a directory, of any version. Removing their pins does so too, but
 * the kernel can take a while.
 */
export function detachLinks(directory: string): void {
  for (const name of readdirSync(directory)) {
    if (!(BIND_PROGRAMS as readonly string[]).includes(name)) continue;
    using own = new Owned();
    const fd = own.fd(obtainIfAny(join(directory, name)));
    if (fd === null) continue;
    try {
      checkRet("bpf_link_detach", bpf.bpf_link_detach(fd));
    } catch (error) {
      if (!hasCode(error, "EINVAL")) throw error; // no link: nothing is in force by it
    }
  }
}

function fill(directory: string, record: AdoptionRecord, ports: readonly AdoptedPort[]): void {
  using adoption = new BpfMap(obtain(join(directory, "adoption")));
  using map = new BpfMap(obtain(join(directory, "ports")));
  adoption.update(0, encodeAdoption(record));
  for (const port of ports) map.update(encodePort(port.port), encodeCounts(port));
}

/** BPF_LINK_TYPE_CGROUP of uapi/linux/bpf.h, and the member attach_type of a link to bind4|6. */
const CGROUP_LINK = 3;
const BIND_TYPES = [8, 9]; // BPF_CGROUP_INET4_BIND, BPF_CGROUP_INET6_BIND

/**
 * Returns the id of the cgroup that a pinned link is attached to, by struct bpf_link_info (uapi/
 * linux/bpf.h): 0n after it was detached; null if the path has no such link.
 */
function cgroupOfLink(path: string): bigint | null {
  const info = Buffer.alloc(32);
  const len: [number] = [info.length];
  using own = new Owned();
  const fd = own.fd(obtainIfAny(path));
  if (fd === null) return null;
  checkRet("bpf_obj_get_info_by_fd", bpf.bpf_obj_get_info_by_fd(fd, info, len));
  const isOurs = info.readUInt32LE(0) === CGROUP_LINK && BIND_TYPES.includes(info.readUInt32LE(24));
  return isOurs ? info.readBigUInt64LE(16) : null;
}
