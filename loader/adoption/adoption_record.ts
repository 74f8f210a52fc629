/** The pinned records of an adoption. */
import { LAYOUT } from "../core/abi.ts";
import * as guard from "../sys/guard.ts";

/** Returns a port as a map key. */
export function encodePort(port: number): Buffer {
  const out = Buffer.alloc(2);
  out.writeUInt16LE(guard.port(port));
  return out;
}

/** The adopted cgroup. */
export interface AdoptionRecord {
  readonly abiVersion: number;
  /** The cgroup, as in /proc/PID/cgroup. */
  readonly path: string;
  /** Its name below its parent; empty for the root. */
  readonly name: string;
  /** Id of its parent; 0 for the root. */
  readonly parent: bigint;
}

export function encodeAdoption({ abiVersion, ...record }: AdoptionRecord): Buffer {
  return LAYOUT.rm_adoption.encode({ ...record, abi_version: abiVersion });
}

/** @param value null: nothing is pinned */
export function decodeAdoption(value: Buffer | null): AdoptionRecord {
  const { abi_version: abiVersion, ...record } = LAYOUT.rm_adoption.decode(value);
  return { abiVersion, ...record };
}

/** A port of an adopted cgroup, and its binds since it was adopted. */
export interface AdoptedPort {
  readonly port: number;
  /** Binds that set SO_REUSEPORT. */
  readonly binds: number;
  /** Binds for which the kernel refused to set it. */
  readonly failed: number;
}

/** Returns the counts of a port without binds. */
export const unbound = (port: number): AdoptedPort => ({ port, binds: 0, failed: 0 });

export function encodeCounts(counts: AdoptedPort): Buffer {
  return LAYOUT.rm_adopted_port.encode(counts);
}

export function decodeCounts(key: Buffer, value: Buffer): AdoptedPort {
  return { port: key.readUInt16LE(), ...LAYOUT.rm_adopted_port.decode(value) };
}
