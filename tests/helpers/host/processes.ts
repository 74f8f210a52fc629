/** Reads the state of processes from /proc, also of processes that are not our children. */
import { readdirSync, readFileSync } from "node:fs";

/** Returns the pids of the main thread's children; none if the process has exited. */
export function childrenOf(pid: number): number[] {
  const text = read(`/proc/${pid}/task/${pid}/children`) ?? "";
  return text.split(" ").filter(Boolean).map(Number);
}

/** Returns the name of a process; undefined if it has ended. */
export function commOf(pid: number): string | undefined {
  return read(`/proc/${pid}/comm`)?.trim();
}

/** Returns the CPU time of a process, ms: utime and stime of proc_pid_stat(5), in ticks of 10 ms. */
export function cpuMs(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return (Number(fields[11]) + Number(fields[12])) * 10;
}

/** Whether every thread has ended, and so closed its files. A zombie counts as ended. */
export function ended(pid: number): boolean {
  return threadsAre(pid, "Z");
}

/** Whether SIGSTOP has stopped every thread. */
export function stopped(pid: number): boolean {
  return threadsAre(pid, "T");
}

/** Whether every thread that still exists is in `state`. */
function threadsAre(pid: number, state: string): boolean {
  const task = `/proc/${pid}/task`;
  return threads(task).every((tid) => [state, undefined].includes(stateOf(`${task}/${tid}`)));
}

function threads(task: string): string[] {
  try {
    return readdirSync(task);
  } catch {
    return [];
  }
}

/**
 * Returns the state letter, which follows the name in parentheses; undefined if the thread has
 * ended.
 */
function stateOf(directory: string): string | undefined {
  const stat = read(`${directory}/stat`);
  return stat?.[stat.lastIndexOf(")") + 2];
}

function read(path: string): string | undefined {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return undefined;
  }
}
