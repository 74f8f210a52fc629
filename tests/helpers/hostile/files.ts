/** What an unprivileged user can prepare on a bpf file system that every user may write to. */
import { execFileSync, spawnSync } from "node:child_process";
import { AS_NOBODY } from "./nobody.ts";

const [COMMAND = "", ...ARGS] = [...AS_NOBODY, "sh", "-ec"];

/** Runs a shell script as the attacker. @throws Error if it fails */
export function asNobody(script: string): void {
  execFileSync(COMMAND, [...ARGS, script], { stdio: ["ignore", "ignore", "pipe"] });
}

/** Runs a shell script as the attacker; returns its exit code. */
export function triedAsNobody(script: string): number | null {
  return spawnSync(COMMAND, [...ARGS, script], { stdio: "ignore" }).status;
}
