/** What /proc says of processes that are not our children, or not only. */
import { readdirSync, readFileSync } from "node:fs";

/** Pids of the children its main thread has; none when it is gone. */
export function childrenOf(pid: number): number[] {
  const text = read(`/proc/${pid}/task/${pid}/children`) ?? "";
  return text.split(" ").filter(Boolean).map(Number);
}

/** Whether each of its threads has ended, and so closed its files; a zombie has, whoever should wait for it. */
export function ended(pid: number): boolean {
  return threadsAre(pid, "Z");
}

/** Whether each of its threads stands still after SIGSTOP. */
export function stopped(pid: number): boolean {
  return threadsAre(pid, "T");
}

/** Whether those that are not gone are all in this state. */
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

/** The letter after the name, which may hold parentheses itself; undefined when it is gone. */
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
