/** Streams that cannot be written, by unwritable.py. */
import { PYTHON, scriptPath } from "../host/script.ts";

export const UNWRITABLE = ["full", "stalled", "closed", "hung-up"] as const;
export type Unwritable = (typeof UNWRITABLE)[number];

/** Returns the command that starts another one with such a stdout and stderr. */
export function underUnwritable(kind: Unwritable): string[] {
  return [PYTHON, scriptPath("hostile/unwritable.py"), kind];
}
