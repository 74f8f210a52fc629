/** Limits of a store, and of its process. */
import { AbsentError } from "../errors.ts";
import { openFilesLimit } from "../host/open_files.ts";
import type { Limits } from "./deposits.ts";
import { MAX_FDS } from "./protocol.ts";

/** What a store takes at most. */
export interface StoreLimits extends Limits {
  /** Connected processes. */
  readonly clients: number;
}

/** The default limits. */
export const STORE_LIMITS: StoreLimits = { names: 256, fds: 1024, clients: 256 };

/** Descriptors that the process needs for itself and for one message in transit. */
const OTHER_FDS = 64 + MAX_FDS;

/**
 * Checks the process's limit of open files, so that clients cannot exhaust it.
 * @throws AbsentError
 */
export function requireDescriptors({ fds, clients }: StoreLimits): void {
  const open = openFilesLimit();
  const required = fds + clients + OTHER_FDS;
  if (open >= required) return;
  throw new AbsentError(
    `${fds} fds and ${clients} clients require ${required} open files, but the limit is ${open}: lower them, or raise it (ulimit -n, LimitNOFILE=)`,
  );
}
