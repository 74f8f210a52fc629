#!/usr/bin/env -S node --max-semi-space-size=1 --v8-pool-size=1
/** Runs the command line with this process: its streams, signals and exit code. */
import { getPriority, setPriority } from "node:os";
import { isatty } from "node:tty";
import type { Env } from "./env.ts";
import { main } from "./main.ts";

const onSignals: Env["onSignals"] = (names, handler) => {
  for (const name of names) process.on(name, handler);
  return () => {
    for (const name of names) process.off(name, handler);
  };
};

/** nice(1): a sidecar sleeps nearly always, and must see a new listener on a saturated host too. */
const PRIORITY = -10;

function raisePriority(): void {
  if (getPriority() !== 0) return; // already chosen, such as by Nice= of a unit
  try {
    setPriority(PRIORITY);
  } catch {
    // not permitted: keep the default
  }
}

const stop = new AbortController();
onSignals(["SIGTERM", "SIGINT", "SIGHUP"], (name) => stop.abort(name));

const unread = new AbortController();

// A closed pipe (`| head`) must not end the sidecar.
for (const stream of [process.stdout, process.stderr]) {
  stream.on("error", (error: NodeJS.ErrnoException) => {
    if (error.code !== "EPIPE") throw error;
    if (stream === process.stdout) unread.abort();
  });
}

process.exitCode = await main(
  {
    stdout: process.stdout,
    stderr: process.stderr,
    vars: process.env,
    // Not process.stdin: a child that inherits stdin must be its only reader.
    terminal: isatty(0),
    stop: stop.signal,
    unread: unread.signal,
    raisePriority,
    onSignals,
  },
  process.argv.slice(2),
);
