/** Log lines: readable, or one JSON object each. */
import type { SidecarEvent } from "../../loader/log.ts";

/** Returns a function that writes events to `out`. */
export function logger(
  out: { write(text: string): unknown },
  json: boolean,
): (event: SidecarEvent) => void {
  return ({ level, event, text, fields }) => {
    const time = new Date().toISOString();
    const line = json
      ? JSON.stringify({ time, level, event, msg: text, ...fields })
      : `${time} ${level.padEnd(5)} ${text}`;
    out.write(`${line}\n`);
  };
}

/** Returns the event of a problem of /metrics. */
export function metricsWarning(text: string): SidecarEvent {
  return { level: "warn", event: "warning", text, fields: { about: "metrics" } };
}
