/** Isolation of this process: a new network namespace with its loopback device, and no tracing. */
import koffi from "koffi";
import { checkSys } from "./check.ts";
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
};

const PR_SET_DUMPABLE = 4; // linux/prctl.h
const CLONE_NEWNET = 0x40000000;
const SIOCSIFFLAGS = 0x8914; // linux/sockios.h
const IFF_UP = 1;
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
  const fd = libc.socket(libc.AF_INET, libc.SOCK_DGRAM | libc.SOCK_CLOEXEC, 0);
  try {
    checkSys("ioctl", c.ioctl(fd, SIOCSIFFLAGS, request));
  } finally {
    libc.close(fd);
  }
}

/** prctl(2), PR_SET_DUMPABLE: tracing a process without it requires CAP_SYS_PTRACE (ptrace(2)). */
export function setDumpable(dumpable: boolean): void {
  checkSys("prctl", c.prctl(PR_SET_DUMPABLE, dumpable ? 1 : 0, 0, 0, 0));
}
