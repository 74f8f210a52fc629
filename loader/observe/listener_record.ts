/** Records of the listeners iterator as plain data. Pure. */
import { COMM_LEN, LAYOUT } from "../core/abi.ts";
import { type Family, formatAddress } from "../core/address.ts";
import type { Listener, Owner, Protocol } from "../core/listener.ts";
import { AF_INET, IPPROTO_MPTCP, IPPROTO_TCP, IPPROTO_UDP } from "../sys/constants.ts";

const RECORD = LAYOUT.rm_listener.size;
const AT = LAYOUT.rm_listener.members;

const PROTOCOLS: ReadonlyMap<number, Protocol> = new Map([
  [IPPROTO_TCP, "tcp"],
  [IPPROTO_UDP, "udp"],
  [IPPROTO_MPTCP, "mptcp"],
]);

/** A listener. @param at where its records are, one of each owner */
export function decode(bytes: Buffer, at: readonly number[]): Listener {
  const [first = 0] = at;
  const r = bytes.subarray(first, first + RECORD);
  const family: Family = r.readUInt16LE(AT.family) === AF_INET ? "ipv4" : "ipv6";
  return {
    cookie: r.readBigUInt64LE(AT.cookie),
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
    ...queues(bytes, first),
    owners: at.map((one) => owner(bytes.subarray(one, one + RECORD))),
  };
}

/** What changes with every connection. */
export function queues(bytes: Buffer, at: number) {
  return {
    queueLength: bytes.readUInt32LE(at + AT.queue_length),
    queueLimit: bytes.readUInt32LE(at + AT.queue_limit),
    halfOpen: bytes.readUInt32LE(at + AT.half_open),
  };
}

function owner(r: Buffer): Owner {
  const comm = r.toString("utf8", AT.comm, AT.comm + COMM_LEN);
  return {
    pid: r.readUInt32LE(AT.pid),
    fd: r.readUInt32LE(AT.fd),
    comm: comm.slice(0, comm.indexOf("\0")),
    startMs: Number(r.readBigUInt64LE(AT.start_ns) / 1_000_000n),
  };
}
