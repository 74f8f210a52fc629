/**
 * Unix sockets that carry messages and file descriptors: sendmsg(2) and recvmsg(2) with SCM_RIGHTS
 * (unix(7)). Offsets of structs are those of 64-bit Linux, as are the numbers in libc.ts.
 */
import koffi from "koffi";
import { hasCode } from "../errors.ts";
import { checkSys } from "./check.ts";
import * as guard from "./guard.ts";
import {
  AF_UNIX,
  getsockopt,
  SOCK_CLOEXEC,
  SOCK_NONBLOCK,
  SOL_SOCKET,
  SUN_PATH_SIZE,
} from "./libc.ts";

const lib = koffi.load(null);
const c = {
  sendmsg: lib.func("long sendmsg(int fd, const void *msg, int flags)") as (
    fd: number,
    msg: bigint,
    flags: number,
  ) => number,
  recvmsg: lib.func("long recvmsg(int fd, void *msg, int flags)") as (
    fd: number,
    msg: bigint,
    flags: number,
  ) => number,
  accept4: lib.func("int accept4(int fd, void *addr, void *len, int flags)") as (
    fd: number,
    addr: null,
    len: null,
    flags: number,
  ) => number,
  getpeername: lib.func("int getpeername(int fd, _Out_ void *addr, _Inout_ uint32_t *len)") as (
    fd: number,
    addr: Buffer,
    len: [number],
  ) => number,
  socketpair: lib.func("int socketpair(int domain, int type, int protocol, _Out_ int *fds)") as (
    domain: number,
    type: number,
    protocol: number,
    fds: number[],
  ) => number,
  poll: lib.func("int poll(void *fds, unsigned long n, int timeout)") as (
    fds: Buffer,
    n: number,
    timeoutMs: number,
  ) => number,
  fcntl: lib.func("int fcntl(int fd, int command, ...)") as (
    fd: number,
    command: number,
    ...value: unknown[]
  ) => number,
};

export const SOCK_SEQPACKET = 5;
const SO_PEERCRED = 17;
/** Most file descriptors of one message (include/net/scm.h). */
export const SCM_MAX_FD = 253;

const SCM_RIGHTS = 1;
const F_SETFD = 2;
const FD_CLOEXEC = 1;
const POLLIN = 1;
const MSG_CTRUNC = 0x8;
const MSG_TRUNC = 0x20;
const MSG_DONTWAIT = 0x40;
const MSG_NOSIGNAL = 0x4000;
const MSG_CMSG_CLOEXEC = 0x40000000;

/** Size of struct cmsghdr: length (8 bytes), level, type. Its data is aligned to 8 bytes. */
const CMSG_HEADER = 16;
const align8 = (n: number) => Math.ceil(n / 8) * 8;

/** The largest message that {@link sendmsg} and {@link recvmsg} handle, bytes. */
export const MAX_MESSAGE = 128 * 1024;
const CONTROL_SIZE = CMSG_HEADER + align8(4 * SCM_MAX_FD);

/**
 * Offsets of struct msghdr and of the buffers it points to, in one block of C memory, because the
 * address of a Buffer is valid during one call only. All uses are synchronous, so they share it.
 */
const AT = { iov: 64, name: 128, control: 256, data: 4096 } as const;
const SIZE = AT.data + MAX_MESSAGE;
const address: bigint = koffi.alloc("uint8_t", SIZE);
const memory = Buffer.from(koffi.view(address, SIZE));

function prepare(dataLength: number, controlLength: number, nameLength: number): void {
  memory.fill(0, 0, AT.name);
  memory.writeBigUInt64LE(nameLength > 0 ? address + BigInt(AT.name) : 0n, 0); // msg_name
  memory.writeUInt32LE(nameLength, 8);
  memory.writeBigUInt64LE(address + BigInt(AT.iov), 16); // msg_iov
  memory.writeBigUInt64LE(1n, 24);
  memory.writeBigUInt64LE(controlLength > 0 ? address + BigInt(AT.control) : 0n, 32); // msg_control
  memory.writeBigUInt64LE(BigInt(controlLength), 40);
  memory.writeBigUInt64LE(address + BigInt(AT.data), AT.iov);
  memory.writeBigUInt64LE(BigInt(dataLength), AT.iov + 8);
}

/** Writes SCM_RIGHTS with `fds` into the control buffer; returns its length in bytes. */
function writeRights(fds: readonly number[]): number {
  if (fds.length === 0) return 0;
  const length = CMSG_HEADER + 4 * fds.length;
  memory.fill(0, AT.control, AT.control + align8(length));
  memory.writeBigUInt64LE(BigInt(length), AT.control);
  memory.writeInt32LE(SOL_SOCKET, AT.control + 8);
  memory.writeInt32LE(SCM_RIGHTS, AT.control + 12);
  for (const [i, fd] of fds.entries()) {
    memory.writeInt32LE(guard.fd(fd), AT.control + CMSG_HEADER + 4 * i);
  }
  return align8(length);
}

/**
 * Sends one message with `fds`, to the sockaddr `to` if given. Returns false if the socket is full
 * and `wait` is not set.
 * @throws SysError EPIPE or ECONNRESET if the peer has closed the connection
 */
export function sendmsg(
  fd: number,
  data: Buffer,
  fds: readonly number[] = [],
  { to, wait = false }: { readonly to?: Buffer; readonly wait?: boolean } = {},
): boolean {
  if (data.length > MAX_MESSAGE) throw new RangeError(`a message of ${data.length} bytes`);
  if (fds.length > SCM_MAX_FD) throw new RangeError(`a message with ${fds.length} descriptors`);
  to?.copy(memory, AT.name);
  data.copy(memory, AT.data);
  prepare(data.length, writeRights(fds), to?.length ?? 0);
  try {
    const flags = MSG_NOSIGNAL | (wait ? 0 : MSG_DONTWAIT);
    checkSys("sendmsg", c.sendmsg(guard.fd(fd), address, flags));
    return true;
  } catch (error) {
    if (!wait && hasCode(error, "EAGAIN", "EWOULDBLOCK")) return false;
    throw error;
  }
}

export interface Message {
  /** Empty at the end of the connection. */
  readonly data: Buffer;
  /** Owned by the caller, close-on-exec. */
  readonly fds: readonly number[];
  /** True if the message was longer than `size`, or the kernel dropped some of its descriptors. */
  readonly truncated: boolean;
}

/** Returns the next message, or null if none is pending. Does not wait. */
export function recvmsg(fd: number, size: number): Message | null {
  prepare(Math.min(size, MAX_MESSAGE), CONTROL_SIZE, 0);
  let length: number;
  try {
    const flags = MSG_DONTWAIT | MSG_CMSG_CLOEXEC;
    length = checkSys("recvmsg", c.recvmsg(guard.fd(fd), address, flags));
  } catch (error) {
    if (hasCode(error, "EAGAIN", "EWOULDBLOCK")) return null;
    throw error;
  }
  const flags = memory.readInt32LE(48);
  return {
    data: Buffer.from(memory.subarray(AT.data, AT.data + length)),
    fds: readRights(Number(memory.readBigUInt64LE(40))),
    truncated: (flags & (MSG_TRUNC | MSG_CTRUNC)) !== 0,
  };
}

/** Returns all descriptors in the first `used` bytes of the control buffer. */
function readRights(used: number): number[] {
  const fds: number[] = [];
  const end = AT.control + used;
  for (let at = AT.control; at + CMSG_HEADER <= end; ) {
    const length = Number(memory.readBigUInt64LE(at));
    if (length < CMSG_HEADER) break;
    const isRights =
      memory.readInt32LE(at + 8) === SOL_SOCKET && memory.readInt32LE(at + 12) === SCM_RIGHTS;
    if (isRights) {
      for (let i = CMSG_HEADER; i + 4 <= length; i += 4) fds.push(memory.readInt32LE(at + i));
    }
    at += align8(length);
  }
  return fds;
}

/** socketpair(2): returns two ends of a connection that keeps messages apart, close-on-exec. */
export function socketpair(): readonly [number, number] {
  const fds = [-1, -1];
  checkSys("socketpair", c.socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds));
  return [fds[0] as number, fds[1] as number];
}

/**
 * poll(2): blocks this thread until a message is pending or the peer has closed the connection.
 * Returns false after `timeoutMs`, or earlier if a signal arrived.
 */
export function waitReadable(fd: number, timeoutMs: number): boolean {
  const pollfd = Buffer.alloc(8);
  pollfd.writeInt32LE(guard.fd(fd), 0);
  pollfd.writeInt16LE(POLLIN, 4);
  try {
    return checkSys("poll", c.poll(pollfd, 1, timeoutMs)) > 0;
  } catch (error) {
    if (hasCode(error, "EINTR")) return false;
    throw error;
  }
}

/** accept4(2): returns a non-blocking connection, close-on-exec, or null if none is pending. */
export function accept(fd: number): number | null {
  try {
    const flags = SOCK_CLOEXEC | SOCK_NONBLOCK;
    return checkSys("accept4", c.accept4(guard.fd(fd), null, null, flags));
  } catch (error) {
    if (hasCode(error, "EAGAIN", "EWOULDBLOCK", "ECONNABORTED", "EINTR")) return null;
    throw error;
  }
}

/** getpeername(2): returns the sockaddr of a connection's other end. */
export function getpeername(fd: number): Buffer {
  const name = Buffer.alloc(SUN_PATH_SIZE + 2);
  const len: [number] = [name.length];
  checkSys("getpeername", c.getpeername(guard.fd(fd), name, len));
  return name.subarray(0, len[0]);
}

/**
 * Returns the process at a connection's other end, as it was at connect(2) or listen(2): struct
 * ucred (unix(7)).
 */
export function peerOf(fd: number): { readonly pid: number; readonly uid: number } {
  const credentials = getsockopt(fd, SOL_SOCKET, SO_PEERCRED, 12);
  return { pid: credentials.readInt32LE(0), uid: credentials.readUInt32LE(4) };
}

/** True if a peer with this uid may have our descriptors: it is this user, or root. */
export function isTrustedUid(uid: number): boolean {
  return uid === 0 || uid === process.geteuid?.();
}

/** fcntl(2), F_SETFD: sets close-on-exec, so that no child process inherits `fd`. */
export function closeOnExec(fd: number): void {
  checkSys("fcntl", c.fcntl(guard.fd(fd), F_SETFD, "int", FD_CLOEXEC));
}
