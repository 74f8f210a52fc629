/**
 * Readiness of a file descriptor on Node's own event loop. koffi calls its poll
 * API "not yet documented": this is its only use, and tests/ffi/events.test.ts keeps it honest.
 */
import koffi from "koffi";
import * as guard from "./guard.ts";

/** Calls `ready` whenever `fd` is readable; does not keep the process alive. Returns how to stop. */
export function onReadable(fd: number, ready: () => void): () => void {
  const handle = koffi.node.poll(guard.fd(fd), { readable: true }, () => ready());
  handle.unref();
  return () => handle.close();
}
