/** Runs `check --json`. */
import assert from "node:assert/strict";
import { runCli } from "../helpers/product/cli.ts";

export interface Probed {
  readonly name: string;
  readonly outcome: "ok" | "no" | "unknown";
  readonly detail: string;
  readonly advice: string | null;
}
interface Probes {
  readonly probes: readonly Probed[];
}
export interface Report extends Probes {
  readonly verdict: string;
}
export interface Checked {
  readonly code: number | null;
  readonly report: Report;
}

/** Runs `check --json`, started by the command `under` if given. */
export async function check(under: readonly string[] = []): Promise<Checked> {
  const { code, stdout, stderr } = await runCli(["check", "--json"], under);
  assert.equal(stderr, "");
  return { code, report: JSON.parse(stdout) as Report };
}

export function probe({ probes }: Probes, name: string): Probed {
  const found = probes.find((it) => it.name === name);
  assert.ok(found, `no probe '${name}' among ${probes.map((it) => it.name).join(", ")}`);
  return found;
}
