#!/usr/bin/env -S node --max-semi-space-size=1 --v8-pool-size=1 --no-sparkplug
/** Runs the command line with this process: its streams, signals and exit code. */
import { writeFileSync } from "node:fs";
import { getPriority, setPriority } from "node:os";
import { isatty } from "node:tty";
import type { Env, Keyboard } from "./env.ts";
import { StandardStream } from "./output/standard_stream.ts";
import { inheritedFds } from "./process/inherited_fds.ts";

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

/** Takes our name instead of node's, for ps(1) and ss(8); the kernel keeps 15 bytes (proc(5)). */
function takeName(): void {
  try {
    writeFileSync("/proc/self/comm", "reuseport-migrate");
  } catch {
    // no /proc: the name stays
  }
}

takeName();

const stop = new AbortController();
onSignals(["SIGTERM", "SIGINT", "SIGHUP"], (name) => stop.abort(name));

const unread = new AbortController();

// A write that fails never ends the process in the middle of its work.
const stdout = new StandardStream(
  1,
  () => process.stdout,
  (error) => {
    // A closed pipe (`| head`) is no failure: the reader has seen enough.
    if (error.code === "EPIPE") unread.abort();
    else failed(error);
  },
);
const stderr = new StandardStream(
  2,
  () => process.stderr,
  () => {}, // there is no other place to say it
);

function failed(error: NodeJS.ErrnoException): void {
  if (!process.exitCode)
    stderr.write(`reuseport-migrate: stdout cannot be written: ${error.message}\n`);
  process.exitCode ||= 1;
}

function keyboard(typed: (input: string) => void): Keyboard {
  const { stdin } = process;
  const onData = (bytes: Buffer) => typed(bytes.toString("latin1"));
  stdin.setRawMode(true).on("data", onData);
  return {
    suspend: () => {
      stdin.setRawMode(false);
      process.kill(process.pid, "SIGTSTP");
      stdin.setRawMode(true);
    },
    close: () => void stdin.off("data", onData).setRawMode(false).pause(),
  };
}

/** How long the last lines of a log may take, ms. */
const DRAIN_MS = 1_000;

async function drain(timeoutMs: number): Promise<boolean> {
  const drained = await Promise.all([stdout, stderr].map((stream) => stream.drain(timeoutMs)));
  return !drained.includes(false);
}

// After inherited_fds.ts: what it loads opens files.
const { main } = await import("./main.ts");
const code = await main(
  {
    stdout,
    stderr,
    outlive: (resumed) => {
      const streams = [stdout, stderr].map((stream) => stream.outlive(resumed));
      return { dropped: () => streams.reduce((sum, { dropped }) => sum + dropped, 0), drain };
    },
    vars: process.env,
    inheritedFds,
    ...(isatty(0) ? { keys: keyboard } : {}),
    // Not process.stdin: a child that inherits stdin must be its only reader.
    terminal: isatty(0),
    stop: stop.signal,
    unread: unread.signal,
    raisePriority,
    onSignals,
  },
  process.argv.slice(2),
);
process.exitCode = code || process.exitCode || 0;
if (!(await drain(DRAIN_MS))) {
  const { exitNow } = await import("../loader/host/exit_now.ts");
  exitNow(Number(process.exitCode));
}
