/** Requirements of this process and host, checked before anything is changed. */
import { existsSync, readFileSync } from "node:fs";
import { NotSupportedError, PermissionError } from "../errors.ts";

/** Required capabilities: bit (uapi/linux/capability.h) and purpose. */
export const CAPABILITIES = [
  { name: "CAP_NET_ADMIN", bit: 12n, use: "to load socket programs and fill the sockmap" },
  { name: "CAP_SYS_PTRACE", bit: 19n, use: "to borrow listeners of other processes" },
  { name: "CAP_PERFMON", bit: 38n, use: "to list the listeners of the host" },
  { name: "CAP_BPF", bit: 39n, use: "to load BPF programs and maps" },
] as const;
/** Capabilities that only some options require. */
export const OPTIONAL_CAPABILITIES = [
  {
    name: "CAP_CHOWN",
    bit: 0n,
    use: "for --hold of servers of another user",
  },
  {
    name: "CAP_NET_BIND_SERVICE",
    bit: 10n,
    use: "for --hold of ports below 1024",
  },
] as const;
export const CAP_SYS_ADMIN = 21n;

type Capability = (typeof CAPABILITIES)[number]["name"];

/** The capabilities without which a command does nothing, by what it does (docs/SECURITY.md). */
const READ = ["CAP_PERFMON", "CAP_BPF"] as const;
const CHANGE = ["CAP_SYS_PTRACE", ...READ] as const;
export const RIGHTS = {
  /** Reads pins and listeners. */
  read: READ,
  /** Changes pinned groups. */
  change: CHANGE,
  /** Loads programs, and attaches them. */
  attach: ["CAP_NET_ADMIN", ...CHANGE],
} as const satisfies Record<string, readonly Capability[]>;

/** The kernel's BTF. */
export const BTF = "/sys/kernel/btf/vmlinux";

/** Returns whether a set of capabilities, by default the effective one, contains `bit`. */
export function hasCapability(bit: bigint, set = effectiveCapabilities()): boolean {
  return (set & (1n << bit)) !== 0n;
}

/**
 * Returns the capabilities that an effective set lacks. CAP_SYS_ADMIN includes CAP_BPF and
 * CAP_PERFMON (capabilities(7)).
 */
export function missingCapabilities(effective: bigint): (typeof CAPABILITIES)[number][] {
  const isAdmin = hasCapability(CAP_SYS_ADMIN, effective);
  return CAPABILITIES.filter(
    ({ bit }) => !hasCapability(bit, effective) && !(bit >= 38n && isAdmin),
  );
}

/** Returns the effective set of this process (proc_pid_status(5)). */
export function effectiveCapabilities(): bigint {
  const status = readFileSync("/proc/self/status", "utf8");
  return BigInt(`0x${/^CapEff:\s*([0-9a-f]+)/m.exec(status)?.[1] ?? "0"}`);
}

/**
 * Checks the capabilities of a command, and BTF.
 * @throws PermissionError, which names the missing ones; NotSupportedError without BTF
 */
export function requireHost(right: keyof typeof RIGHTS): void {
  const needed: readonly string[] = RIGHTS[right];
  const missing = missingCapabilities(effectiveCapabilities()).filter(({ name }) =>
    needed.includes(name),
  );
  const [first] = missing;
  if (first) {
    const list = missing.map(({ name, use }) => `${name} (${use})`).join(", ");
    throw new PermissionError(first.name, `${processText()} lacks ${list}: ${grantAdvice()}`);
  }
  if (!existsSync(BTF)) {
    throw new NotSupportedError(
      "BTF",
      `the kernel has no BTF at ${BTF}: boot one with CONFIG_DEBUG_INFO_BTF=y (Debian's have it)`,
    );
  }
}

/** Returns what to do about missing capabilities. Root lacks some only if they were taken away. */
export function grantAdvice(): string {
  return process.geteuid?.() === 0
    ? "grant what is missing (unit: CapabilityBoundingSet=, container: --cap-add)"
    : "run as root, or grant what is missing";
}

/** Describes this process in errors about capabilities: a root process may lack some, too. */
export function processText(): string {
  return process.geteuid?.() === 0 ? "this root process" : "this process (not root)";
}
