/** exec in the scene of a kernel test. */
import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { pins } from "../host/fds.ts";
import { ExecProcess } from "../product/exec.ts";
import { BPFFS, type Scene } from "./scene.ts";

/** A shell server that prints the name of each signal; TERM ends it. */
export const TRAPS = `
for name in INT QUIT USR1 USR2 HUP WINCH CONT; do trap "echo got SIG$name" $name; done
trap "echo got SIGTERM; exit 9" TERM
echo ready
while :; do sleep 0.02; done`;

/** Starts exec in a scene, which ends it and removes its cgroup. */
export function execIn(
  s: Scene,
  args: readonly string[],
  command: readonly string[],
  under: readonly string[] = [],
): ExecProcess {
  const exec = new ExecProcess([s.spec, ...args], command, under);
  s.defer(() => exec[Symbol.asyncDispose]());
  return exec;
}

export function assertNothingLeft(exec: ExecProcess): void {
  assert.equal(existsSync(exec.cgroup), false, `${exec.cgroup} is left behind`);
  assert.deepEqual(pins(BPFFS), []);
}
