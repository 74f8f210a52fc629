/**
 * The accept queue of one listener, from tcp_info (net/ipv4/tcp.c, tcp_get_info; uapi/linux/tcp.h).
 */
import * as libc from "../sys/libc.ts";

/** Offsets, bytes: for a listener the connections in its accept queue, and its backlog. */
const TCPI_UNACKED = 24;
const TCPI_SACKED = 28;

/** Returns the connections in the accept queue, and their limit. */
export function acceptQueue(fd: number): { length: number; limit: number } {
  const info = libc.getsockopt(fd, libc.IPPROTO_TCP, libc.TCP_INFO, TCPI_SACKED + 4);
  return { length: info.readUInt32LE(TCPI_UNACKED), limit: info.readUInt32LE(TCPI_SACKED) };
}
