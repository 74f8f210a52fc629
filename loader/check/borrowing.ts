/** The probe that borrows a listener of another process. */
import { hasCode } from "../errors.ts";
import type { Lab } from "../selftest/lab.ts";
import * as libc from "../sys/libc.ts";
import { type Finding, no, ok } from "./probe.ts";

/**
 * Borrows a listener of the lab's process. A process may often trace its children without a
 * capability, so the lab makes itself as untraceable as another user's process meanwhile.
 */
export async function borrowFromLab(lab: Lab): Promise<Finding> {
  const { fd } = await lab.call("open", { port: 0, defer: false });
  await lab.call("hide", { hidden: true });
  const pidfd = libc.pidfd_open(lab.pid);
  try {
    libc.close(libc.pidfd_getfd(pidfd, fd));
    return ok("borrowed a listener of an untraceable process");
  } catch (error) {
    if (!hasCode(error, "EPERM")) throw error;
    const advice = "run as root, or with CAP_SYS_PTRACE, and set kernel.yama.ptrace_scope below 3";
    return no("not permitted", advice);
  } finally {
    libc.close(pidfd);
    await lab.call("hide", { hidden: false });
    await lab.call("close", { fd });
  }
}
