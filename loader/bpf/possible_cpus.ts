/** The numbers of CPUs that a BPF program can see. */
import { readFileSync } from "node:fs";

/** Ranges of numbers, such as `0-3,8-11` (Documentation/admin-guide/cputopology.rst of Linux). */
const POSSIBLE = "/sys/devices/system/cpu/possible";

let count: number | null = null;

/**
 * Returns one more than the highest CPU number, an upper bound for bpf_get_smp_processor_id(). The
 * host can have fewer CPUs, since numbers may be missing.
 */
export function cpuNumbers(): number {
  count ??= numbersIn(readFileSync(POSSIBLE, "utf8"));
  return count;
}

/** @param ranges as in {@link POSSIBLE} */
export function numbersIn(ranges: string): number {
  const numbers = ranges.match(/\d+/g);
  if (numbers === null) throw new Error(`${POSSIBLE} names no CPU: '${ranges.trim()}'`);
  return Math.max(...numbers.map(Number)) + 1;
}
