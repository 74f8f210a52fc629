/** Map values of an adoption to plain data and back, as codec.ts does for groups. */
import { CGROUP_NAME_LEN, CGROUP_PATH_LEN, LAYOUT } from "../core/abi.ts";
import * as guard from "../sys/guard.ts";

/** A port as a map key. */
export function encodePort(port: number): Buffer {
  const out = Buffer.alloc(2);
  out.writeUInt16LE(guard.port(port));
  return out;
}

/** The pinned record of an adoption: whose binds. */
export interface AdoptionRecord {
  readonly abiVersion: number;
  /** The cgroup, as in /proc/PID/cgroup. */
  readonly path: string;
  /** Its name below its parent; of the root empty. */
  readonly name: string;
  /** Id of its parent; 0: it is the root. */
  readonly parent: bigint;
}

export function encodeAdoption(record: AdoptionRecord): Buffer {
  const { size, members: at } = LAYOUT.rm_adoption;
  const out = Buffer.alloc(size);
  out.writeUInt32LE(record.abiVersion, at.abi_version);
  out.writeBigUInt64LE(record.parent, at.parent);
  out.write(record.name, at.name, CGROUP_NAME_LEN - 1, "utf8");
  out.write(record.path, at.path, CGROUP_PATH_LEN - 1, "utf8");
  return out;
}

export function decodeAdoption(value: Buffer): AdoptionRecord {
  const at = LAYOUT.rm_adoption.members;
  const text = (from: number) => value.toString("utf8", from, value.indexOf(0, from));
  return {
    abiVersion: value.readUInt32LE(at.abi_version),
    path: text(at.path),
    name: text(at.name),
    parent: value.readBigUInt64LE(at.parent),
  };
}

/** A port of an adopted cgroup, and its binds since it was adopted. */
export interface AdoptedPort {
  readonly port: number;
  /** Set SO_REUSEPORT. */
  readonly binds: bigint;
  /** The kernel refused to set it. */
  readonly failed: bigint;
}

/** A port that nobody has bound yet. */
export const unbound = (port: number): AdoptedPort => ({ port, binds: 0n, failed: 0n });

export function encodeCounts({ binds, failed }: AdoptedPort): Buffer {
  const { size, members: at } = LAYOUT.rm_adopted_port;
  const out = Buffer.alloc(size);
  out.writeBigUInt64LE(binds, at.binds);
  out.writeBigUInt64LE(failed, at.failed);
  return out;
}

export function decodeCounts(key: Buffer, value: Buffer): AdoptedPort {
  const at = LAYOUT.rm_adopted_port.members;
  return {
    port: key.readUInt16LE(),
    binds: value.readBigUInt64LE(at.binds),
    failed: value.readBigUInt64LE(at.failed),
  };
}
