/** What this process and this host must have, asked before anything is touched. */
import { existsSync, readFileSync } from "node:fs";
import { NotSupportedError, PermissionError } from "../errors.ts";

/** Capabilities in use, with their bit (uapi/linux/capability.h) and what for. */
export const CAPABILITIES = [
  { name: "CAP_NET_ADMIN", bit: 12n, use: "to load socket programs and fill the sockmap" },
  { name: "CAP_SYS_PTRACE", bit: 19n, use: "to borrow listeners of other processes" },
  { name: "CAP_PERFMON", bit: 38n, use: "to list the listeners of the host" },
  { name: "CAP_BPF", bit: 39n, use: "to load BPF programs and maps" },
] as const;
/** Those of some options only. */
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
const CAP_SYS_ADMIN = 21n;

/** Where the kernel shows its BTF. */
export const BTF = "/sys/kernel/btf/vmlinux";

/** Capabilities that are missing in an effective set. CAP_SYS_ADMIN stands for BPF and PERFMON. */
export function missingCapabilities(effective: bigint): (typeof CAPABILITIES)[number][] {
  const has = (bit: bigint) => (effective & (1n << bit)) !== 0n;
  return CAPABILITIES.filter(({ bit }) => !has(bit) && !(bit >= 38n && has(CAP_SYS_ADMIN)));
}

/** The effective set of this process. */
export function effectiveCapabilities(): bigint {
  const status = readFileSync("/proc/self/status", "utf8");
  return BigInt(`0x${/^CapEff:\s*([0-9a-f]+)/m.exec(status)?.[1] ?? "0"}`);
}

/**
 * Refuses to go on where something is missing.
 * @throws PermissionError that names the capability, NotSupportedError for BTF.
 */
export function requireHost(): void {
  const missing = missingCapabilities(effectiveCapabilities());
  const [first] = missing;
  if (first) {
    const list = missing.map(({ name, use }) => `${name} (${use})`).join(", ");
    const who = process.geteuid?.() === 0 ? "this root process lacks" : "not root, and without";
    throw new PermissionError(
      first.name,
      `${who} ${list}: run it as root or grant what is missing`,
    );
  }
  if (!existsSync(BTF)) {
    throw new NotSupportedError(
      "BTF",
      `the kernel shows no BTF at ${BTF}: boot a kernel with CONFIG_DEBUG_INFO_BTF=y (Debian's have it)`,
    );
  }
}
