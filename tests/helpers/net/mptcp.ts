/** An MPTCP client, which Node does not offer. */
import { Socket } from "node:net";
import * as libc from "../../../loader/sys/libc.ts";
import { familyOf, socketAddress } from "../address.ts";

/** Starts to connect; does not wait for the handshake. */
export function connectMptcp(address: string, port: number): Socket {
  const type = libc.SOCK_STREAM | libc.SOCK_CLOEXEC | libc.SOCK_NONBLOCK;
  const fd = libc.socket(familyOf(address), type, libc.IPPROTO_MPTCP);
  libc.connect(fd, socketAddress(address, port));
  return new Socket({ fd, readable: true, writable: true });
}
