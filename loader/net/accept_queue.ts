/**
 * The accept queue of one listener, from tcp_info (net/ipv4/tcp.c, tcp_get_info; uapi/linux/tcp.h).
 */
import * as libc from "../sys/libc.ts";

/** Offsets, bytes: for a listener the connections in its accept queue, and its backlog. */
const TCPI_STATE = 0;
const TCPI_UNACKED = 24;
const TCPI_SACKED = 28;
/** As much of tcp_info as is read, bytes. */
export const TCP_INFO_SIZE = TCPI_SACKED + 4;

/** The connections in an accept queue, and their limit. */
export interface AcceptQueue {
  /** False: it was shut down, and has none. */
  readonly listens: boolean;
  readonly length: number;
  readonly limit: number;
}

/** Reads the accept queue of one of our listeners. */
export function acceptQueue(fd: number): AcceptQueue {
  return acceptQueueFrom(libc.getsockopt(fd, libc.IPPROTO_TCP, libc.TCP_INFO, TCP_INFO_SIZE));
}

/** @param info the first bytes of tcp_info */
export function acceptQueueFrom(info: Buffer): AcceptQueue {
  const listens = info.readUInt8(TCPI_STATE) === libc.TCP_LISTEN;
  const length = listens ? info.readUInt32LE(TCPI_UNACKED) : 0;
  return { listens, length, limit: info.readUInt32LE(TCPI_SACKED) };
}
