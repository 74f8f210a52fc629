/** One event of a log, as it is pinned. Pure. */
import { EVENT_LEN, LAYOUT } from "../core/abi.ts";
import type { SidecarEvent } from "../log.ts";

/** A line of a sidecar's log. */
export interface PastEvent extends SidecarEvent {
  /** 1, 2, 3 ... in the order of the lines, of all sidecars that share a bpf file system. */
  readonly id: number;
  /** Ms since 1970. */
  readonly timeMs: number;
  /** Of the sidecar. */
  readonly pid: number;
}

/** Marks a text whose end was cut off. */
const CUT = "\u2026";

export function encodeEvent({ id, timeMs, pid, level, ...line }: PastEvent): Buffer {
  return LAYOUT.rm_event.encode({
    id,
    time_ms: timeMs,
    pid,
    level,
    json: lineJson(line),
    same_id: id,
  });
}

type Line = Pick<SidecarEvent, "event" | "text" | "fields">;

const fits = (json: string) => Buffer.byteLength(json) < EVENT_LEN;

/** Returns the JSON of a line that fits: with less text, or without fields, if it must be. */
function lineJson(line: Line): string {
  const whole = JSON.stringify(line);
  if (fits(whole)) return whole;
  const short = shortened(line);
  return fits(short) ? short : shortened({ ...line, fields: {} });
}

/** Returns the JSON with as much of the text as fits. */
function shortened({ event, text, fields }: Line): string {
  const characters = [...text];
  let [short, long] = [0, characters.length];
  const cut = (length: number) =>
    JSON.stringify({ event, text: characters.slice(0, length).join("") + CUT, fields });
  while (short < long) {
    const middle = Math.ceil((short + long) / 2);
    if (fits(cut(middle))) short = middle;
    else long = middle - 1;
  }
  return cut(short);
}

/** Returns the event with this id, or null: it was not written yet, is being written, or was replaced. */
export function decodeEvent(bytes: Buffer, id: number): PastEvent | null {
  const { id: first, same_id, time_ms: timeMs, json, ...rest } = LAYOUT.rm_event.decode(bytes);
  if (first !== id || same_id !== id) return null;
  try {
    const { event, text, fields }: Partial<SidecarEvent> = JSON.parse(json);
    if (typeof event !== "string" || typeof text !== "string") return null;
    return { id, timeMs, ...rest, event, text, fields: fields ?? {} };
  } catch {
    return null;
  }
}
