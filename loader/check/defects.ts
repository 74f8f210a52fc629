/**
 * Kernel defects to know of. Only the first can be found by doing (wakeup.ts); the
 * others would take a crash or a leak to show, so the versions with the fix are
 * named and no verdict hangs on them. Pure.
 */

export interface Defect {
  readonly name: string;
  readonly what: string;
  /** First fixed release of each stable series. */
  readonly fixedIn: readonly string[];
  /** Series in which no release has the fix yet, with the last one looked at. */
  readonly notIn?: readonly string[];
}

export const WAKEUP_DEFECT: Defect = {
  name: "CVE-2026-46015",
  what: "a destination that sleeps is not woken by what migrates to it from an accept queue",
  fixedIn: ["5.15.209", "6.1.175", "6.6.140", "6.12.86", "6.18.27", "7.0.4"],
};

/** Those no probe can find. */
export const SILENT_DEFECTS: readonly Defect[] = [
  {
    name: "CVE-2026-99270",
    what: "use after free when the SYN-ACK timer of a migrated request fires",
    fixedIn: ["6.12.117"],
    notIn: ["6.1.192"],
  },
  {
    name: "select leak",
    what: "selecting from a sockmap can leak a socket that is ESTABLISHED (never one of ours, which listen)",
    fixedIn: ["6.1.127", "6.12.11"],
  },
  {
    name: "Fast Open accounting",
    what: "a migrated Fast Open request is counted on the wrong listener's Fast Open queue",
    fixedIn: ["6.1.183", "6.12.104"],
  },
];

/**
 * The upstream version a kernel says it is. Debian's `uname -r` has an ABI number where others
 * have it; their `uname -v` names it.
 */
export function kernelVersion(release: string, version: string): string {
  const debian = /\bDebian (\d+\.\d+\.\d+)/.exec(version)?.[1];
  return debian ?? /^\d+\.\d+(?:\.\d+)?/.exec(release)?.[0] ?? release;
}

/** Where it is fixed, and what that says of this kernel: its word, not a finding. */
export function defectText({ what, fixedIn, notIn = [] }: Defect, kernel: string): string {
  const without = notIn.map((version) => `not in ${version}`);
  const where = [`fixed in ${fixedIn.join(", ")}`, ...without].join("; ");
  return `${what}; ${where}; this kernel says ${kernel}: ${standing(fixedIn, kernel)}`;
}

function standing(fixedIn: readonly string[], kernel: string): string {
  const [major = 0, minor = 0, patch = 0] = numbers(kernel);
  const same = fixedIn.find((fix) => {
    const [a, b] = numbers(fix);
    return a === major && b === minor;
  });
  if (same === undefined) {
    const newer = fixedIn.every((fix) => {
      const [a = 0, b = 0] = numbers(fix);
      return a < major || (a === major && b < minor);
    });
    return newer ? "newer than all of these" : "of a series without a fix listed";
  }
  return patch >= (numbers(same)[2] ?? 0) ? "has the fix" : "older than the fix";
}

const numbers = (version: string): number[] => version.split(".").map(Number);
