/** The end of this process while one of its threads is in a system call that may never return. */
import { exitImmediately } from "../sys/own_process.ts";

/** Ends the process. process.exit() would wait for the threads of the libuv pool. */
export function exitNow(code: number): never {
  return exitImmediately(code);
}
