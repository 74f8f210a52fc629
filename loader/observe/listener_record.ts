/** Decodes records of the listeners iterator. Pure. */
import { COMM_LEN, LAYOUT } from "../core/abi.ts";
import { type Family, formatAddress } from "../core/address.ts";
import type { Listener, Owner, Protocol, Queues } from "../core/listener.ts";
import { printableBytes } from "../printable.ts";
import { AF_INET, IPPROTO_MPTCP, IPPROTO_TCP, IPPROTO_UDP } from "../sys/constants.ts";

const RECORD = LAYOUT.rm_listener.size;
const AT = LAYOUT.rm_listener.members;

const PROTOCOLS: ReadonlyMap<number, Protocol> = new Map([
  [IPPROTO_TCP, "tcp"],
  [IPPROTO_UDP, "udp"],
  [IPPROTO_MPTCP, "mptcp"],
]);

/** Decodes a listener. @param offsets of its records, one for each file descriptor on it */
export function decodeListener(bytes: Buffer, offsets: readonly number[]): Listener {
  const [first = 0] = offsets;
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
    keyed: r.readUInt8(AT.keyed) !== 0,
    incomingCpu: r.readUInt32LE(AT.incoming_cpu) - 1,
    owners: offsets.map((offset) => decodeOwner(bytes.subarray(offset, offset + RECORD))),
  };
}

export function decodeQueues(bytes: Buffer, offset: number): Queues {
  return {
    length: bytes.readUInt32LE(offset + AT.queue_length),
    limit: bytes.readUInt32LE(offset + AT.queue_limit),
    halfOpen: bytes.readUInt32LE(offset + AT.half_open),
  };
}

function decodeOwner(r: Buffer): Owner {
  const comm = r.subarray(AT.comm, AT.comm + COMM_LEN);
  return {
    pid: r.readUInt32LE(AT.pid),
    fd: r.readUInt32LE(AT.fd),
    comm: printableBytes(comm.subarray(0, comm.indexOf(0))),
    startMs: Number(r.readBigUInt64LE(AT.start_ns) / 1_000_000n),
  };
}
