/** --hold, --hold-max and --ready-check: their bounds, the same for every command and for a config. */

import { UsageError } from "../../loader/errors.ts";
import type { ReadyCheck } from "../../loader/manage/ready_check.ts";
import { duration, integer } from "./values.ts";

/** net.core.somaxconn as Linux sets it: what a standby can hold without it being raised. */
export const HOLD_MAX = 4096;
const MAX_BACKLOG = 0x7fffffff;
const MIN_HOLD_MS = 100;
const MAX_HOLD_MS = 3_600_000;

export const holdOptions = {
  hold: {
    type: "string",
    requiresArg: true,
    at: "hold.time",
    describe: "when no listener is left, hold connections so long for the next: 10s, 500ms, 2m",
  },
  "hold-max": {
    type: "string",
    requiresArg: true,
    at: "hold.max",
    wants: "hold",
    defaultDescription: `${HOLD_MAX}`,
    describe: "connections held at most, then SYNs are ignored so that clients retry",
  },
  "ready-check": {
    type: "string",
    requiresArg: true,
    at: "hold.ready_check",
    wants: "hold",
    describe:
      "hand over what is held when the new server accepts a connection ('tcp'), or this shell command exits with 0",
  },
} as const;

/** The value of --hold, ms. */
export function holdTime(text: string): number {
  return duration("hold", text, MIN_HOLD_MS, MAX_HOLD_MS);
}

/** The value of --hold-max. */
export function holdMax(text: string | undefined): number {
  return text === undefined ? HOLD_MAX : integer("hold-max", text, 1, MAX_BACKLOG);
}

/** The value of --ready-check. */
export function readyCheck(text: string): ReadyCheck {
  if (text.trim() === "") throw new UsageError("--ready-check wants 'tcp' or a shell command");
  return text === "tcp" ? "tcp" : { command: text };
}
