/** Settings of a hardened kernel that refuse to root, too, what the sidecar needs. */
import { readFileSync } from "node:fs";

/** What each refuses, and what to do: the end of an error's sentence. */
export const HARDENED = {
  ptrace:
    "kernel.yama.ptrace_scope is 3, which forbids it to every process until the next boot; set 2 at boot",
  memory:
    "the kernel is locked down (confidentiality), so BPF programs cannot read its memory; boot with lockdown=integrity",
} as const;

/**
 * Returns whether no process may trace another one: then none can duplicate its descriptors either
 * (Documentation/admin-guide/LSM/Yama.rst; pidfd_getfd(2)).
 */
export function forbidsTracing(
  scope: string | null = textOf("/proc/sys/kernel/yama/ptrace_scope"),
): boolean {
  return scope?.trim() === "3";
}

/** Returns whether bpf_probe_read_kernel() is refused (LOCKDOWN_BPF_READ_KERNEL, security.h). */
export function forbidsKernelReads(
  modes: string | null = textOf("/sys/kernel/security/lockdown"),
): boolean {
  return modes?.includes("[confidentiality]") === true;
}

function textOf(path: string): string | null {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return null; // the kernel has no such setting
  }
}
