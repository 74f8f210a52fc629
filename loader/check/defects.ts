/**
 * Known kernel defects. The self-test can find the first only (selftest/wakeup.ts): showing the
 * others takes a crash or a leak. `check` lists fixed versions, but no verdict depends on them.
 * Pure.
 */

interface Defect {
  readonly name: string;
  readonly what: string;
  /** First fixed release of each stable series. */
  readonly fixedIn: readonly string[];
  /** The last release that was examined, of each series without a fix. */
  readonly notIn?: readonly string[];
}

export const WAKEUP_DEFECT: Defect = {
  name: "CVE-2026-46015",
  what: "a sleeping destination is not woken when a connection migrates to it from an accept queue",
  fixedIn: ["5.15.209", "6.1.175", "6.6.140", "6.12.86", "6.18.27", "7.0.4"],
};

/** Defects that no probe can find. */
export const SILENT_DEFECTS: readonly Defect[] = [
  {
    name: "timer after migration",
    what: "use after free when the SYN-ACK timer of a migrated request fires",
    fixedIn: ["6.12.117"],
    notIn: ["6.1.192"],
  },
  {
    name: "select leak",
    what: "selecting an ESTABLISHED socket from a sockmap can leak it (ours has listeners only)",
    fixedIn: ["6.1.127", "6.12.11"],
  },
  {
    name: "Fast Open accounting",
    what: "a migrated Fast Open request is counted on the wrong listener's Fast Open queue",
    fixedIn: ["6.1.183", "6.12.104"],
  },
];

/**
 * Returns the upstream version of a kernel. On Debian `uname -r` has an ABI number instead, and
 * `uname -v` has the version.
 */
export function kernelVersion(release: string, version: string): string {
  const debian = /\bDebian (\d+\.\d+\.\d+)/.exec(version)?.[1];
  return debian ?? /^\d+\.\d+(?:\.\d+)?/.exec(release)?.[0] ?? release;
}

/** Returns whether a kernel of this version may have the defect: it is not known to be fixed. */
export function mayApply({ fixedIn }: Defect, kernel: string): boolean {
  return !FIXED.includes(compare(kernel, fixedIn));
}

/** Describes a defect, its fixed versions, and `kernel` by its version number alone. */
export function defectText({ what, fixedIn, notIn = [] }: Defect, kernel: string): string {
  const without = notIn.map((version) => `not in ${version}`);
  const where = [`fixed in ${fixedIn.join(", ")}`, ...without].join("; ");
  return `${what}; ${where}; this kernel says ${kernel}: ${compare(kernel, fixedIn)}`;
}

const FIXED: readonly string[] = ["newer than all of these", "has the fix"];

function compare(kernel: string, fixedIn: readonly string[]): string {
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
    return newer ? "newer than all of these" : "of a series without a listed fix";
  }
  return patch >= (numbers(same)[2] ?? 0) ? "has the fix" : "older than the fix";
}

const numbers = (version: string): number[] => version.split(".").map(Number);
