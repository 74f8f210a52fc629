/**
 * Readiness of a file descriptor on Node's event loop. koffi calls its poll API "not yet
 * documented": this is its only use, and tests/ffi/poll.test.ts tests it.
 */
import koffi from "koffi";
import * as guard from "./guard.ts";

/**
 * Calls `ready` each time the event loop finds `fd` readable. Does not keep the process alive.
 * Returns a function that ends this.
 */
export function onReadable(fd: number, ready: () => void): () => void {
  const handle = koffi.node.poll(guard.fd(fd), { readable: true }, () => ready());
  handle.unref();
  return () => handle.close();
}
