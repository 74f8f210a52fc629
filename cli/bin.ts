#!/usr/bin/env node
/** The only file that touches `process`. */
import { main } from "./main.ts";

const stop = new AbortController();
for (const signal of ["SIGTERM", "SIGINT"] as const) {
  process.on(signal, () => stop.abort(signal));
}

process.exitCode = await main(
  {
    stdout: process.stdout,
    stderr: process.stderr,
    vars: process.env,
    stop: stop.signal,
    isTerminal: process.stdout.isTTY === true,
  },
  process.argv.slice(2),
);
