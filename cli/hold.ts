/** Bounds of --hold and --hold-max, the same for every command. */
import { duration, integer } from "./options.ts";

/** net.core.somaxconn as Linux sets it: what a standby can hold without it being raised. */
export const HOLD_MAX = 4096;
const MAX_BACKLOG = 0x7fffffff;
const MIN_HOLD_MS = 100;
const MAX_HOLD_MS = 3_600_000;

/** The value of --hold, ms. */
export function holdTime(text: string): number {
  return duration("hold", text, MIN_HOLD_MS, MAX_HOLD_MS);
}

/** The value of --hold-max. */
export function holdMax(text: string | undefined): number {
  return text === undefined ? HOLD_MAX : integer("hold-max", text, 1, MAX_BACKLOG);
}
