/** fork() through another command. */
import { type ChildProcess, fork } from "node:child_process";

/** Forks the module `main`, started by the command `under`, such as `["unshare", "--net"]`. */
export function forkUnder(
  under: readonly string[],
  main: string | URL,
  args: readonly string[] = [],
): ChildProcess {
  const [execPath = process.execPath, ...execArgv] = [...under, process.execPath];
  // The stdout of a test file is the protocol of the test runner.
  return fork(main, [...args], { execPath, execArgv, stdio: ["ignore", 2, 2, "ipc"] });
}
