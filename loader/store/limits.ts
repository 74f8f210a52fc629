/** How much a store takes on, and that its process can. */
import { readFileSync } from "node:fs";
import { UsageError } from "../errors.ts";
import type { Limits } from "./deposits.ts";
import { MAX_FDS } from "./protocol.ts";

export interface StoreLimits extends Limits {
  readonly clients: number;
}

export const STORE_LIMITS: StoreLimits = { names: 256, fds: 1024, clients: 256 };
/** Descriptors the process needs besides, those of one more message among them. */
const OTHER_FDS = 64 + MAX_FDS;

/** So that no client can make it run out of them. @throws UsageError */
export function requireDescriptors({ fds, clients }: StoreLimits): void {
  const limits = readFileSync("/proc/self/limits", "utf8");
  const open = /^Max open files\s+(\d+|unlimited)/m.exec(limits)?.[1];
  const wanted = fds + clients + OTHER_FDS;
  if (open === undefined || open === "unlimited" || Number(open) >= wanted) return;
  throw new UsageError(
    `${fds} fds and ${clients} clients want ${wanted} open files, and the limit is ${open}: lower them, or raise it (ulimit -n, LimitNOFILE=)`,
  );
}
