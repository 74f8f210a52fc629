/** fork(), behind another command. */
import { type ChildProcess, fork } from "node:child_process";

/** Forks the module `main` behind the command `under`, such as `["unshare", "--net"]`. */
export function forkUnder(
  under: readonly string[],
  main: string | URL,
  args: readonly string[] = [],
): ChildProcess {
  const [execPath = process.execPath, ...execArgv] = [...under, process.execPath];
  // Its stdout would be the test runner's protocol.
  return fork(main, [...args], { execPath, execArgv, stdio: ["ignore", 2, 2, "ipc"] });
}
