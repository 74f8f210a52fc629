/** The kernel's own migration, net.ipv4.tcp_migrate_req (ip-sysctl.rst). */
import { readFileSync } from "node:fs";
import { type Finding, no, ok } from "./probe.ts";

const PATH = "/proc/sys/net/ipv4/tcp_migrate_req";
const MEANING: Readonly<Record<string, string>> = {
  "0": "elsewhere, a listener that closes loses its connections",
  "1": "elsewhere, the kernel migrates to a random listener and counts nothing",
};

/** Reads the sysctl of this process's network namespace. */
export function migrateSysctl(): Finding {
  let value: string;
  try {
    value = readFileSync(PATH, "utf8").trim();
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error;
    return no("this kernel lacks the sysctl (it is new in Linux 5.14)");
  }
  return ok(`${value}: not used where our program is attached; ${MEANING[value] ?? ""}`);
}
