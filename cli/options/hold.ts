/** --hold, --hold-max and --ready-check: one set of bounds for every command and for a config. */

import type { ReadyCheck } from "../../loader/hold/ready_check.ts";
import { duration, integer, OptionError } from "./values.ts";

/** net.core.somaxconn as Linux sets it: a longer accept queue needs a higher sysctl. */
const HOLD_MAX = 4096;
const MAX_BACKLOG = 0x7fffffff;
const MIN_HOLD_MS = 100;
const MAX_HOLD_MS = 3_600_000;

export const holdOptions = {
  hold: {
    type: "string",
    requiresArg: true,
    key: "hold.time",
    describe:
      "while no listener is left, hold connections this long for the next one: 10s, 500ms, 2m",
  },
  "hold-max": {
    type: "string",
    requiresArg: true,
    key: "hold.max",
    requires: "hold",
    defaultDescription: `${HOLD_MAX}`,
    describe: "most connections to hold; further SYNs are ignored, so that clients retry",
  },
  "ready-check": {
    type: "string",
    requiresArg: true,
    key: "hold.ready_check",
    requires: "hold",
    describe:
      "hand held connections over once the new server accepts a connection ('tcp'), or once this shell command exits with 0",
  },
} as const;

/** Parses --hold into ms. @throws OptionError */
export function holdTime(label: string, text: string): number {
  return duration(label, text, MIN_HOLD_MS, MAX_HOLD_MS);
}

/** Parses --hold-max. @throws OptionError */
export function holdMax(label: string, text: string | undefined): number {
  return text === undefined ? HOLD_MAX : integer(label, text, 1, MAX_BACKLOG);
}

/** Parses --ready-check. @throws OptionError */
export function readyCheck(label: string, text: string): ReadyCheck {
  if (text.trim() === "") throw new OptionError(label, "must be 'tcp' or a shell command");
  return text === "tcp" ? "tcp" : { command: text };
}
