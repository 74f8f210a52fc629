/** A TCP Fast Open client: sendto(MSG_FASTOPEN) sends data with the SYN. */
import koffi from "koffi";
import { checkSys } from "../../../loader/sys/check.ts";
import { SOCK_CLOEXEC, SOCK_NONBLOCK, SOCK_STREAM, socket } from "../../../loader/sys/libc.ts";
import { socketAddress } from "../address.ts";

const MSG_FASTOPEN = 0x20000000;

const sendto = koffi
  .load(null)
  .func(
    "long sendto(int fd, const void *buf, size_t n, int flags, const void *addr, uint32_t len)",
  ) as (fd: number, buf: Buffer, n: number, flags: number, addr: Buffer, len: number) => number;

/** Opens a connection whose SYN carries `data`; returns its file descriptor. */
export function fastOpen(address: string, port: number, data: Buffer): number {
  const to = socketAddress(address, port);
  const fd = socket(to.readUInt16LE(0), SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  const sent = sendto(fd, data, data.length, MSG_FASTOPEN, to, to.length);
  if (checkSys("sendto", sent) !== data.length) throw new Error("the SYN did not carry all data");
  return fd;
}
