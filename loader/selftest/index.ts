/** The trial of check/wakeup.ts, loaded when it is asked for: it brings the lab along. */
import type { Wakeup } from "./wakeup.ts";

/**
 * Whether this kernel wakes a destination that sleeps when connections migrate to it; about a second
 * where it does not. Wants the rights of `attach`. Never rejects: what cannot be told is `unknown`.
 */
export async function probeWakeup(): Promise<Wakeup> {
  const wakeup = await import("./wakeup.ts");
  return wakeup.probeWakeup();
}
