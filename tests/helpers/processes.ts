/** What /proc says of processes that are not our children, or not only. */
import { readdirSync, readFileSync } from "node:fs";

/** Pids of the children its main thread has; none when it is gone. */
export function childrenOf(pid: number): number[] {
  const text = read(`/proc/${pid}/task/${pid}/children`) ?? "";
  return text.split(" ").filter(Boolean).map(Number);
}

/** Whether it has ended; a zombie has, whoever should wait for it. */
export function ended(pid: number): boolean {
  const state = stateOf(`/proc/${pid}`);
  return state === undefined || state === "Z";
}

/** Whether each of its threads stands still after SIGSTOP. */
export function stopped(pid: number): boolean {
  const task = `/proc/${pid}/task`;
  return readdirSync(task).every((tid) => ["T", undefined].includes(stateOf(`${task}/${tid}`)));
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
