/** The probe that borrows a listener of another process. */
import { PermissionError } from "../errors.ts";
import { forbidsTracing, HARDENED } from "../hardening.ts";
import { borrow } from "../lender/lender.ts";
import type { Lab } from "../selftest/lab.ts";
import { type Finding, no, ok } from "./probe.ts";

/**
 * Borrows a listener of the lab's process. A process may often trace its children without a
 * capability, so the lab makes itself as untraceable as another user's process meanwhile.
 */
export async function borrowFromLab(lab: Lab): Promise<Finding> {
  const { fd, cookie } = await lab.call("open", { port: 0, defer: false });
  await lab.call("hide", { hidden: true });
  try {
    const owner = { pid: lab.pid, fd, comm: "node", startMs: 0 };
    if (!borrow({ cookie, owners: [owner] }, [])) return no("the lab does not lend its listener");
    return ok("borrowed a listener of an untraceable process");
  } catch (error) {
    if (!(error instanceof PermissionError)) throw error;
    return no("not permitted", forbidsTracing() ? HARDENED.ptrace : "grant CAP_SYS_PTRACE");
  } finally {
    await lab.call("hide", { hidden: false });
    await lab.call("close", { fd });
  }
}
