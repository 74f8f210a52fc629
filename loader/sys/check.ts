/** Errors of C calls: the only code that reads errno. A failed call throws a {@link SysError}. */
import { constants } from "node:os";
import koffi from "koffi";
import { SysError } from "../errors.ts";

/** Codes that Node does not name: the kernel's internal ones that leak, and libbpf's (libbpf.h). */
const EXTRA: Readonly<Record<number, readonly [code: string, text: string]>> = {
  77: ["EBADFD", "file descriptor in bad state"],
  524: ["ENOTSUPP", "operation is not supported by this kernel"],
  4000: ["LIBBPF_ERRNO__LIBELF", "something wrong in libelf"],
  4001: ["LIBBPF_ERRNO__FORMAT", "BPF object format invalid"],
  4002: ["LIBBPF_ERRNO__KVERSION", "incorrect or no 'version' section"],
  4003: ["LIBBPF_ERRNO__ENDIAN", "endian mismatch"],
  4004: ["LIBBPF_ERRNO__INTERNAL", "internal error in libbpf"],
  4005: ["LIBBPF_ERRNO__RELOC", "relocation failed"],
  4006: ["LIBBPF_ERRNO__LOAD", "load of the program failed"],
  4007: ["LIBBPF_ERRNO__VERIFY", "kernel verifier blocks the program"],
  4008: ["LIBBPF_ERRNO__PROG2BIG", "program too big"],
  4009: ["LIBBPF_ERRNO__KVER", "incorrect kernel version"],
  4010: ["LIBBPF_ERRNO__PROGTYPE", "kernel does not support this program type"],
  4011: ["LIBBPF_ERRNO__WRNGPID", "wrong pid in netlink message"],
  4012: ["LIBBPF_ERRNO__INVSEQ", "invalid netlink sequence"],
  4013: ["LIBBPF_ERRNO__NLPARSE", "netlink parsing error"],
};

const strerror = koffi.load(null).func("const char *strerror(int errnum)") as (n: number) => string;

const NAMES = new Map(Object.entries(constants.errno).map(([name, number]) => [number, name]));

function sysError(syscall: string, errno: number): SysError {
  const extra = EXTRA[errno];
  if (extra) return new SysError(syscall, errno, extra[0], extra[1]);
  return new SysError(syscall, errno, NAMES.get(errno) ?? `E${errno}`, strerror(errno));
}

/** Checks a call that returns `-errno` (libbpf 1.x); returns `ret` if it is not negative. */
export function checkRet(syscall: string, ret: number): number {
  if (ret < 0) throw sysError(syscall, -ret);
  return ret;
}

/** Checks a libc call, which returns -1 and sets errno. @requires the call in the same statement */
export function checkSys(syscall: string, ret: number): number {
  if (ret < 0) throw sysError(syscall, koffi.errno());
  return ret;
}

/** Checks a libbpf 1.x call that returns a pointer, or NULL and sets errno. */
export function checkPtr<T>(syscall: string, ptr: T | null): T {
  if (ptr === null) throw sysError(syscall, koffi.errno());
  return ptr;
}
