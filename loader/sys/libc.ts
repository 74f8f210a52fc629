/**
 * The libc calls in use, one line each with its prototype, and thin checked wrappers. x86_64 and
 * arm64 Linux agree on all numbers here (asm-generic/socket.h, asm-generic/unistd.h).
 */
import koffi from "koffi";
import { hasCode } from "../errors.ts";
import { checkSys } from "./check.ts";
import { AF_INET, AT_FDCWD, IPPROTO_TCP, RENAME_EXCHANGE } from "./constants.ts";
import * as guard from "./guard.ts";

export * from "./constants.ts";

const lib = koffi.load(null);
const c = {
  close: lib.func("int close(int fd)") as (fd: number) => number,
  syscall: lib.func("long syscall(long number, ...)") as (n: number, ...a: unknown[]) => number,
  socket: lib.func("int socket(int domain, int type, int protocol)") as (
    domain: number,
    type: number,
    protocol: number,
  ) => number,
  bind: lib.func("int bind(int fd, const void *addr, uint32_t len)") as (
    fd: number,
    addr: Buffer,
    len: number,
  ) => number,
  listen: lib.func("int listen(int fd, int backlog)") as (fd: number, backlog: number) => number,
  connect: lib.func("int connect(int fd, const void *addr, uint32_t len)") as (
    fd: number,
    addr: Buffer,
    len: number,
  ) => number,
  getsockname: lib.func("int getsockname(int fd, _Out_ void *addr, _Inout_ uint32_t *len)") as (
    fd: number,
    addr: Buffer,
    len: [number],
  ) => number,
  fchown: lib.func("int fchown(int fd, uint32_t uid, uint32_t gid)") as (
    fd: number,
    uid: number,
    gid: number,
  ) => number,
  setns: lib.func("int setns(int fd, int nstype)") as (fd: number, nstype: number) => number,
  shutdown: lib.func("int shutdown(int fd, int how)") as (fd: number, how: number) => number,
  setsockopt: lib.func(
    "int setsockopt(int fd, int level, int name, const void *value, uint32_t len)",
  ) as (fd: number, level: number, name: number, value: Buffer, len: number) => number,
  getsockopt: lib.func(
    "int getsockopt(int fd, int level, int name, _Out_ void *value, _Inout_ uint32_t *len)",
  ) as (fd: number, level: number, name: number, value: Buffer, len: [number]) => number,
  sendto: lib.func(
    "long sendto(int fd, const void *buf, size_t n, int flags, const void *addr, uint32_t len)",
  ) as (fd: number, buf: Buffer, n: number, flags: number, addr: Buffer, len: number) => number,
  clock_gettime: lib.func("int clock_gettime(int clock, _Out_ void *now)") as (
    clock: number,
    now: Buffer,
  ) => number,
  fcntl: lib.func("int fcntl(int fd, int command, ...)") as (
    fd: number,
    command: number,
    type: "int",
    argument: number,
  ) => number,
  renameat2: lib.func(
    "int renameat2(int from, const char *path, int to, const char *other, uint32_t flags)",
  ) as (from: number, path: string, to: number, other: string, flags: number) => number,
  flock: lib.func("int flock(int fd, int operation)") as (fd: number, operation: number) => number,
};

export const AF_UNIX = 1;
export const SOCK_STREAM = 1;
export const SOCK_DGRAM = 2;
export const SOCK_NONBLOCK = 0o4000;
export const SOCK_CLOEXEC = 0o2000000;
export const SOL_SOCKET = 1;
export const SO_REUSEADDR = 2;
export const SO_TYPE = 3;
export const SO_REUSEPORT = 15;
export const SO_ACCEPTCONN = 30;
export const SO_PROTOCOL = 38;
export const SO_DOMAIN = 39;
export const SO_LOCK_FILTER = 44;
export const SO_ATTACH_REUSEPORT_EBPF = 52;
export const SO_BINDTOIFINDEX = 62;
export const SO_COOKIE = 57;
export const SO_DETACH_REUSEPORT_BPF = 68;
export const IPPROTO_IPV6 = 41;
export const IPV6_V6ONLY = 26;
export const TCP_INFO = 11;
export const TCP_FASTOPEN = 23;
export const SHUT_WR = 1;
export const SHUT_RDWR = 2;
/** Size of sun_path in struct sockaddr_un, bytes, its final NUL included (uapi/linux/un.h). */
export const SUN_PATH_SIZE = 108;
const CLONE_NEWNET = 0x40000000;
const KEEP_GID = 0xffffffff; // -1
const SYS_PIDFD_OPEN = 434;
const SYS_PIDFD_GETFD = 438;
const CLOCK_BOOTTIME = 7;
const LOCK_SH = 1;
const LOCK_EX = 2;
const LOCK_NB = 4;
const F_DUPFD_CLOEXEC = 1030;
const MSG_NOSIGNAL = 0x4000;

/** close(2). */
export function close(fd: number): void {
  checkSys("close", c.close(guard.fd(fd)));
}

/** fcntl(2), F_DUPFD_CLOEXEC: returns a second file descriptor of the same open file. */
export function duplicate(fd: number): number {
  return checkSys("fcntl", c.fcntl(guard.fd(fd), F_DUPFD_CLOEXEC, "int", 0));
}

/** pidfd_open(2): returns a file descriptor that refers to the process. */
export function pidfd_open(pid: number): number {
  return checkSys("pidfd_open", c.syscall(SYS_PIDFD_OPEN, "int", guard.pid(pid), "uint", 0));
}

/** pidfd_getfd(2): returns a duplicate of another process's descriptor. @requires CAP_SYS_PTRACE */
export function pidfd_getfd(pidfd: number, fd: number): number {
  return checkSys(
    "pidfd_getfd",
    c.syscall(SYS_PIDFD_GETFD, "int", guard.fd(pidfd), "int", guard.fd(fd), "uint", 0),
  );
}

/** socket(2). */
export function socket(domain: number, type: number, protocol: number): number {
  return checkSys("socket", c.socket(domain, type, protocol));
}

/** setsockopt(2) with an int value. */
export function setsockopt(fd: number, level: number, name: number, value: number): void {
  const buffer = Buffer.alloc(4);
  buffer.writeInt32LE(guard.int("an option's value", value));
  checkSys("setsockopt", c.setsockopt(guard.fd(fd), level, name, buffer, 4));
}

/** setsockopt(2) with the option's bytes. */
export function setsockoptBytes(fd: number, level: number, name: number, value: Buffer): void {
  checkSys("setsockopt", c.setsockopt(guard.fd(fd), level, name, value, value.length));
}

/** getsockopt(2): returns the option's bytes, at most `size` of them. */
export function getsockopt(fd: number, level: number, name: number, size: number): Buffer {
  const buffer = Buffer.alloc(size);
  const len: [number] = [size];
  checkSys("getsockopt", c.getsockopt(guard.fd(fd), level, name, buffer, len));
  return buffer.subarray(0, len[0]);
}

/** Returns a sockaddr_in or sockaddr_in6 of the 4 or 16 address bytes in `addr`. */
export function sockaddr(family: number, addr: Buffer, port: number): Buffer {
  const v4 = family === AF_INET;
  const out = Buffer.alloc(v4 ? 16 : 28);
  out.writeUInt16LE(family, 0);
  out.writeUInt16BE(guard.portOrAny(port), 2);
  guard.buffer("an address", addr, v4 ? 4 : 16).copy(out, v4 ? 4 : 8, 0, v4 ? 4 : 16);
  return out;
}

/** bind(2). */
export function bind(fd: number, address: Buffer): void {
  checkSys("bind", c.bind(guard.fd(fd), address, address.length));
}

/** listen(2). */
export function listen(fd: number, backlog: number): void {
  checkSys("listen", c.listen(guard.fd(fd), guard.int("a backlog", backlog)));
}

/** connect(2) of a non-blocking socket: returns false while it is in progress (EINPROGRESS). */
export function connect(fd: number, address: Buffer): boolean {
  try {
    checkSys("connect", c.connect(guard.fd(fd), address, address.length));
    return true;
  } catch (error) {
    if (hasCode(error, "EINPROGRESS")) return false;
    throw error;
  }
}

/** getsockname(2): returns the sockaddr that a socket is bound to. */
export function getsockname(fd: number): Buffer {
  const address = Buffer.alloc(128); // sockaddr_storage
  const len: [number] = [address.length];
  checkSys("getsockname", c.getsockname(guard.fd(fd), address, len));
  return address.subarray(0, len[0]);
}

/** Returns the local port that a TCP socket is bound to. */
export function localPort(fd: number): number {
  return getsockname(fd).readUInt16BE(2);
}

/** Returns the state of a TCP socket, such as TCP_ESTABLISHED: tcpi_state of struct tcp_info. */
export function tcpState(fd: number): number {
  return getsockopt(fd, IPPROTO_TCP, TCP_INFO, 1).readUInt8();
}

/** fchown(2) of a socket: sets its sk_uid (net/socket.c, sockfs_setattr). */
export function fchown(fd: number, uid: number): void {
  checkSys("fchown", c.fchown(guard.fd(fd), guard.uint32("a uid", uid), KEEP_GID));
}

/** setns(2): moves the calling thread to a network namespace. @requires CAP_SYS_ADMIN */
export function setns(fd: number): void {
  checkSys("setns", c.setns(guard.fd(fd), CLONE_NEWNET));
}

/** shutdown(2). */
export function shutdown(fd: number, how: number): void {
  checkSys("shutdown", c.shutdown(guard.fd(fd), how));
}

/** Returns a sockaddr_un; a leading `@` in `path` means the abstract namespace (unix(7)). */
export function sockaddrUnix(path: string): Buffer {
  const name = Buffer.from(path.startsWith("@") ? `\0${path.slice(1)}` : `${path}\0`);
  if (name.length > SUN_PATH_SIZE) throw new RangeError(`socket path is too long: ${path}`);
  const address = Buffer.alloc(2 + name.length);
  address.writeUInt16LE(AF_UNIX, 0);
  name.copy(address, 2);
  return address;
}

/** sendto(2) on a Unix datagram socket; `path` as in {@link sockaddrUnix}. */
export function sendto(fd: number, data: Buffer, path: string): void {
  const address = sockaddrUnix(path);
  const sent = c.sendto(guard.fd(fd), data, data.length, MSG_NOSIGNAL, address, address.length);
  checkSys("sendto", sent);
}

/** flock(2). @throws SysError EWOULDBLOCK (EAGAIN) if another process holds the lock */
export function flock(fd: number, shared = false): void {
  checkSys("flock", c.flock(guard.fd(fd), (shared ? LOCK_SH : LOCK_EX) | LOCK_NB));
}

/** renameat2(2), RENAME_EXCHANGE: each of two files gets the path of the other, atomically. */
export function exchange(path: string, other: string): void {
  checkSys("renameat2", c.renameat2(AT_FDCWD, path, AT_FDCWD, other, RENAME_EXCHANGE));
}

/** clock_gettime(2): returns CLOCK_BOOTTIME in whole ms, the clock of process start times. */
export function boottimeMs(): number {
  const now = Buffer.alloc(16);
  checkSys("clock_gettime", c.clock_gettime(CLOCK_BOOTTIME, now));
  return Number(now.readBigInt64LE(0)) * 1000 + Math.floor(Number(now.readBigInt64LE(8)) / 1e6);
}
