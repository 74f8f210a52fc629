/**
 * Readiness of a file descriptor on Node's event loop. koffi calls its poll API "not yet
 * documented": this is its only use, and tests/ffi/poll.test.ts tests it.
 */
import koffi from "koffi";
import * as guard from "./guard.ts";

const READABLE = { readable: true };

/**
 * Calls `ready` each time the event loop finds `fd` readable. Does not keep the process alive.
 * Returns a function that ends this. An error of `ready` ends the process, as that of a timer does:
 * koffi would drop it, and never call again.
 * @param pauseMs time from one call to the next, at least
 */
export function onReadable(fd: number, ready: () => void, pauseMs = 0): () => void {
  let timer: NodeJS.Timeout | undefined;
  const found = () => {
    if (pauseMs > 0) {
      handle.stop();
      timer = setTimeout(() => handle.start(READABLE, found), pauseMs).unref();
    }
    try {
      ready();
    } catch (error) {
      process.nextTick(() => {
        throw error;
      });
    }
  };
  const handle = koffi.node.poll(guard.fd(fd), READABLE, found);
  handle.unref();
  return () => {
    clearTimeout(timer);
    handle.close();
  };
}
