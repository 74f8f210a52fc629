/** Limits of a store, and of its process. */
import { readFileSync } from "node:fs";
import { UsageError } from "../errors.ts";
import type { Limits } from "./deposits.ts";
import { MAX_FDS } from "./protocol.ts";

export interface StoreLimits extends Limits {
  readonly clients: number;
}

export const STORE_LIMITS: StoreLimits = { names: 256, fds: 1024, clients: 256 };
/** Descriptors that the process needs for itself and for one message in transit. */
const OTHER_FDS = 64 + MAX_FDS;

/**
 * Checks the process's limit of open files, so that clients cannot exhaust it.
 * @throws UsageError
 */
export function requireDescriptors({ fds, clients }: StoreLimits): void {
  const limits = readFileSync("/proc/self/limits", "utf8");
  const open = /^Max open files\s+(\d+|unlimited)/m.exec(limits)?.[1];
  const required = fds + clients + OTHER_FDS;
  if (open === undefined || open === "unlimited" || Number(open) >= required) return;
  throw new UsageError(
    `${fds} fds and ${clients} clients require ${required} open files, but the limit is ${open}: lower them, or raise it (ulimit -n, LimitNOFILE=)`,
  );
}
