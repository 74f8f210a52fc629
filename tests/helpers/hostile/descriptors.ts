/** A process that has used up its file descriptors: RLIMIT_NOFILE, set so that few are left. */
import { execFileSync } from "node:child_process";
import { closeSync, openSync, readdirSync, readFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import koffi from "koffi";
import { checkSys } from "../../../loader/sys/check.ts";
import { openFds } from "../host/fds.ts";

const RLIMIT_NOFILE = 7;
/** More open files than a store of the smallest limits requires. */
const LEAST_OPEN = 512;

const lib = koffi.load(null);
type Call = (resource: number, limits: Buffer) => number;
const getrlimit = lib.func("int getrlimit(int resource, _Out_ void *limits)") as Call;
const setrlimit = lib.func("int setrlimit(int resource, const void *limits)") as Call;

/** Runs `work` while exactly `free` descriptors can be opened in addition to those open now. */
export async function withFreeFds<T>(free: number, work: () => T | Promise<T>): Promise<T> {
  const before = Buffer.alloc(16); // struct rlimit: the soft limit, then the hard one
  checkSys("getrlimit", getrlimit(RLIMIT_NOFILE, before));
  const fillers = [openSync("/dev/null", "r")];
  const open = new Set(readdirSync("/proc/self/fd").map(Number));
  const highest = Math.max(LEAST_OPEN, ...open);
  // Each takes the lowest free number, so no hole is left below the highest.
  while ((fillers.at(-1) ?? 0) <= highest) fillers.push(openSync("/dev/null", "r"));
  const limits = Buffer.from(before);
  limits.writeBigUInt64LE(BigInt((fillers.at(-1) ?? 0) + 1 + free));
  try {
    checkSys("setrlimit", setrlimit(RLIMIT_NOFILE, limits));
    return await work();
  } finally {
    checkSys("setrlimit", setrlimit(RLIMIT_NOFILE, before));
    for (const fd of fillers) closeSync(fd);
  }
}

/** What a process has open: descriptors by their targets, and mapped memory of BPF maps. */
export function held(): string[] {
  const maps = readFileSync("/proc/self/maps", "utf8").split("\n");
  return [...openFds(), ...maps.filter((line) => /bpf[-_]map/.test(line)).map(() => "mapping")];
}

/** Between two looks at the open files of a process, which opens some for a moment only. */
const LOOKS = 10;
const BETWEEN_MS = 7;

/** Sets the limit of another process so that it can open exactly `free` further descriptors. */
export async function leaveFreeFds(pid: number, free: number): Promise<void> {
  const look = () => readdirSync(`/proc/${pid}/fd`).map(Number);
  let open = new Set(look());
  for (let i = 0; i < LOOKS; i++) {
    await sleep(BETWEEN_MS);
    open = new Set(look().filter((fd) => open.has(fd)));
  }
  let limit = 0;
  for (let left = free; left > 0 || open.has(limit); limit++) if (!open.has(limit)) left--;
  setLimit(pid, limit);
}

/** Gives another process many descriptors again. */
export function freeFds(pid: number): void {
  setLimit(pid, 4_096);
}

function setLimit(pid: number, limit: number): void {
  execFileSync("prlimit", ["--pid", String(pid), `--nofile=${limit}:`]);
}
