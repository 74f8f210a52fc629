/** The kernel's own migration: what its sysctl says, and what that means next to us. */
import { readFileSync } from "node:fs";
import { type Finding, no, ok } from "./probe.ts";

const PATH = "/proc/sys/net/ipv4/tcp_migrate_req";
const MEANING: Readonly<Record<string, string>> = {
  "0": "groups we do not cover lose what a closing listener has",
  "1": "in groups we do not cover the kernel migrates to a random listener, uncounted by us",
};

/** Of this network namespace. */
export function migrateSysctl(): Finding {
  let value: string;
  try {
    value = readFileSync(PATH, "utf8").trim();
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error;
    return no("this kernel has no such sysctl (Linux 5.14 has it)");
  }
  return ok(`${value}: not consulted where our program is attached; ${MEANING[value] ?? ""}`);
}
