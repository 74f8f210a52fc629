#!/usr/bin/env node
/** The only file that touches `process`. */
import { main } from "./main.ts";

const stop = new AbortController();
for (const signal of ["SIGTERM", "SIGINT", "SIGHUP"] as const) {
  process.on(signal, () => stop.abort(signal));
}

// A reader that went away (`| head`) is no reason to stop looking after listeners.
for (const stream of [process.stdout, process.stderr]) {
  stream.on("error", (error: NodeJS.ErrnoException) => {
    if (error.code !== "EPIPE") throw error;
  });
}

process.exitCode = await main(
  {
    stdout: process.stdout,
    stderr: process.stderr,
    vars: process.env,
    stop: stop.signal,
  },
  process.argv.slice(2),
);
