/**
 * This process as the kernel sees it: a new network namespace with its loopback device, tracing,
 * children, memory.
 */
import koffi from "koffi";
import { hasCode } from "../errors.ts";
import { Owned } from "../owned.ts";
import { checkSys } from "./check.ts";
import * as guard from "./guard.ts";
import * as libc from "./libc.ts";

const lib = koffi.load(null);
const c = {
  unshare: lib.func("int unshare(int flags)") as (flags: number) => number,
  prctl: lib.func(
    "int prctl(int option, unsigned long a, unsigned long b, unsigned long c, unsigned long d)",
  ) as (option: number, a: number, b: number, c: number, d: number) => number,
  ioctl: lib.func("int ioctl(int fd, unsigned long request, const void *arg)") as (
    fd: number,
    request: number,
    arg: Buffer,
  ) => number,
  waitid: lib.func("int waitid(int type, uint32_t id, _Inout_ void *info, int options)") as (
    type: number,
    id: number,
    info: Buffer,
    options: number,
  ) => number,
};

const PR_SET_DUMPABLE = 4; // linux/prctl.h
const CLONE_NEWNET = 0x40000000;
const SIOCSIFFLAGS = 0x8914; // linux/sockios.h
const IFF_UP = 1;
/* linux/wait.h; siginfo_t of asm-generic/siginfo.h, with si_pid at its offset on 64-bit machines */
const P_ALL = 0;
const P_PID = 1;
const WNOHANG = 1;
const WEXITED = 4;
const WNOWAIT = 0x01000000;
const SIGINFO = { size: 128, pid: 16 } as const;
const IFREQ_SIZE = 40; // struct ifreq: the name in 16 bytes, then a union that begins with the flags

/** unshare(2): moves the calling thread to a new network namespace. @requires CAP_SYS_ADMIN */
export function unshareNetns(): void {
  checkSys("unshare", c.unshare(CLONE_NEWNET));
}

/** Sets the device lo up, as `ip link set lo up` does (netdevice(7)). */
export function setLoopbackUp(): void {
  const request = Buffer.alloc(IFREQ_SIZE);
  request.write("lo");
  request.writeUInt16LE(IFF_UP, 16);
  using own = new Owned();
  const fd = own.fd(libc.socket(libc.AF_INET, libc.SOCK_DGRAM | libc.SOCK_CLOEXEC, 0));
  checkSys("ioctl", c.ioctl(fd, SIOCSIFFLAGS, request));
}

/** prctl(2), PR_SET_DUMPABLE: tracing a process without it requires CAP_SYS_PTRACE (ptrace(2)). */
export function setDumpable(dumpable: boolean): void {
  checkSys("prctl", c.prctl(PR_SET_DUMPABLE, dumpable ? 1 : 0, 0, 0, 0));
}

/** waitid(2), WNOWAIT: returns the pid of a child that has ended and is not reaped; null: none. */
export function endedChild(): number | null {
  const info = Buffer.alloc(SIGINFO.size);
  try {
    checkSys("waitid", c.waitid(P_ALL, 0, info, WEXITED | WNOHANG | WNOWAIT));
  } catch (error) {
    if (hasCode(error, "ECHILD")) return null;
    throw error;
  }
  return info.readInt32LE(SIGINFO.pid) || null;
}

/** waitid(2): reaps a child that has ended. */
export function reapChild(pid: number): void {
  const info = Buffer.alloc(SIGINFO.size);
  checkSys("waitid", c.waitid(P_PID, guard.pid(pid), info, WEXITED | WNOHANG));
}

/**
 * malloc_trim(3): returns memory that was freed to the kernel. Does nothing without glibc.
 */
export function trimMemory(): void {
  try {
    koffi.load(null).func("int malloc_trim(size_t pad)")(0);
  } catch {
    // musl has no malloc_trim(), and its malloc keeps little.
  }
}

/** Time after the last call of {@link trimMemoryLater}, ms: V8 has then freed what a start left. */
const TRIM_MS = 60_000;
let trimming: NodeJS.Timeout | null = null;

/** Calls {@link trimMemory} a minute after the last call of this function. */
export function trimMemoryLater(): void {
  trimming ??= setTimeout(trimMemory, TRIM_MS).unref();
  trimming.refresh();
}

/** Calls _exit(2), which runs no destructors and joins no threads. */
export function exitImmediately(code: number): never {
  koffi.load(null).func("void _exit(int code)")(code);
  throw new Error("_exit() returned");
}
