/** `events --follow`: events as they come, also of sidecars that start later. */
import { setTimeout as sleep } from "node:timers/promises";
import type { PastEvent } from "../../loader/events/event_record.ts";
import type { EventRing } from "../../loader/events/event_ring.ts";
import type { Env } from "../env.ts";

/** Time between two reads, ms: each makes no system call. */
const READ_MS = 200;
/** Reads between two looks whether another map was pinned: the last sidecar's end removes it. */
const READS = 10;

/**
 * Returns on a signal, or once stdout has no reader.
 * @param open returns the ring that is pinned now; null: none
 */
export async function follow(
  env: Env,
  open: () => EventRing | null,
  show: (event: PastEvent) => void,
): Promise<void> {
  const end = AbortSignal.any([env.stop, env.unread]);
  let ring = null as EventRing | null;
  let last = 0;
  try {
    for (let reads = 0; !end.aborted; reads++) {
      if (reads % READS === 0) {
        const now = open();
        // Nothing is added to a map that was removed.
        if (ring) last = showNew(env, ring, last, show);
        if (now?.mapId !== ring?.mapId) last = 0;
        ring?.[Symbol.dispose]();
        ring = now;
      }
      if (ring) last = showNew(env, ring, last, show);
      await sleep(READ_MS, undefined, { signal: end }).catch(() => {});
    }
  } finally {
    ring?.[Symbol.dispose]();
  }
}

/** Returns the id of the last event that was shown. */
function showNew(
  env: Env,
  ring: EventRing,
  after: number,
  show: (event: PastEvent) => void,
): number {
  const { events, last, missed } = ring.read(after);
  if (after > 0 && missed > 0)
    env.stderr.write(`reuseport-migrate: ${missed} events were missed\n`);
  for (const event of events) show(event);
  return last;
}
