/** The keepers of the sandbox: processes that have the standbys of sidecars. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { KEEPER_COMM } from "../../../loader/keeper/kept.ts";
import { commOf } from "../host/processes.ts";
import { until } from "../until.ts";

/** Returns their pids. */
export function keepers(): number[] {
  const cgroup = process.env["SANDBOX_CGROUP"];
  if (!cgroup) throw new Error("the sandbox has no cgroup: mount cgroup v2");
  const procs = readFileSync(join(cgroup, "cgroup.procs"), "utf8");
  return procs
    .split("\n")
    .map(Number)
    .filter((pid) => commOf(pid) === KEEPER_COMM);
}

/** Waits until `count` are left: one that is killed needs a moment to end. */
export async function keepersLeft(count: number): Promise<void> {
  await until(`${count} keepers are left`, () => keepers().length === count);
}
