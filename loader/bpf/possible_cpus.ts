/** The host's CPUs, as programs see them. */
import { readFileSync } from "node:fs";

/** Ranges of numbers, such as `0-3,8-11` (Documentation/admin-guide/cputopology.rst of Linux). */
const POSSIBLE = "/sys/devices/system/cpu/possible";

let count: number | null = null;

/**
 * One more than the highest number a CPU may ever have: what bpf_get_smp_processor_id() says is
 * below it. Numbers may be missing, so there can be fewer CPUs.
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
