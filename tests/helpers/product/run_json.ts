/** Runs `run --json`; the fields of its report that tests read. */
import assert from "node:assert/strict";
import { runCli } from "./cli.ts";

export interface GroupOutcome {
  readonly attached_meanwhile: boolean;
  readonly detached_meanwhile: boolean;
  readonly decisions: readonly {
    readonly stage: string;
    readonly outcome: string;
    readonly reason?: string;
    readonly count: number;
  }[];
  readonly moved_into: readonly {
    readonly generation: number;
    readonly newest: boolean;
    readonly count: number;
  }[];
  readonly moved_into_older_or_gone: number;
  readonly moved_by_kernel: number;
  /** Connections that a standby held and that were reset. */
  readonly reset: number;
}

export interface RunOutcome {
  readonly exit_code: number;
  readonly command: { readonly code: number | null; readonly signal: string | null };
  readonly lost: number;
  readonly moved: number;
  readonly held: number;
  readonly delayed: number;
  readonly settled: string;
  readonly groups: readonly GroupOutcome[];
  readonly namespaces: readonly { readonly dropped: number; readonly failed: number | null }[];
}

export interface JsonRun {
  /** The only group of the run. */
  readonly group: GroupOutcome;
  readonly outcome: RunOutcome;
  readonly stderr: string;
}

/** Runs `run ARGS --json -- COMMAND` to its end. */
export async function runJson(args: readonly string[], command: readonly string[]) {
  const { code, stdout, stderr } = await runCli(["run", ...args, "--json", "--", ...command]);
  assert.match(stdout, /^\{.*\}\n$/, stderr);
  const outcome = JSON.parse(stdout) as RunOutcome;
  assert.equal(code, outcome.exit_code, stderr);
  const [group] = outcome.groups;
  assert.ok(group && outcome.groups.length === 1, stdout);
  return { group, outcome, stderr } satisfies JsonRun;
}

/** Returns the decisions about existing connections: `{"accept_queue/selected": 20}`. */
export function migrating({ decisions }: GroupOutcome): Record<string, number> {
  return Object.fromEntries(
    decisions
      .filter(({ stage }) => stage !== "syn")
      .map(({ count, stage, outcome, reason }) => [
        [stage, outcome, reason].filter((word) => word !== undefined).join("/"),
        count,
      ]),
  );
}
