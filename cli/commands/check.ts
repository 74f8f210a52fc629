/** check: probes this host and tests this kernel. */
import type { Argv, CommandModule } from "yargs";
import type { Env } from "../env.ts";
import { bpffsOf, type PinnedArguments, pinnedOptions } from "../options/pinned.ts";
import { specs } from "../options/values.ts";
import { checkJson, checkText } from "../output/check_text.ts";

function options(yargs: Argv): Argv<PinnedArguments> {
  return pinnedOptions(yargs, "also test whether attaching to these would work")
    .example("$0 check", "before the first attach, and after an upgrade of the kernel")
    .example("$0 check :443", "would attaching to port 443 work?")
    .epilogue(
      "Exit codes of check: 0 fit, 1 not fit (or check failed), 2 fit with warnings (or wrong usage).\n" +
        "It attaches only to its own listeners, in a network namespace of its own, and removes both.",
    );
}

async function run(
  env: Env,
  args: PinnedArguments,
  exitWith: (code: number) => void,
): Promise<void> {
  const all = specs(args.spec);
  const { checkHost, kernelNotes } = await import("../../loader/check/host.ts");
  const { checkSpecs } = await import("../../loader/check/specs.ts");
  const { VERDICTS, checkVerdict } = await import("../../loader/check/probe.ts");
  const how = { ...bpffsOf(args.bpffs), signal: env.stop };
  const host = await checkHost(how);
  const groups = await checkSpecs(all, host, how);
  if (env.stop.aborted) throw new Error(`check was interrupted by ${env.stop.reason}`);
  const verdict = checkVerdict([...host, ...groups.flatMap(({ results }) => results)]);
  const report = { verdict, host, groups, defects: kernelNotes() };
  const text = args.json ? JSON.stringify(checkJson(report), null, 2) : checkText(report);
  env.stdout.write(`${text}\n`);
  exitWith(VERDICTS.indexOf(verdict));
}

export function checkCommand(
  env: Env,
  exitWith: (code: number) => void,
): CommandModule<object, PinnedArguments> {
  return {
    command: "check [spec..]",
    describe: "Check whether this host and its kernel are fit",
    builder: options,
    handler: (args) => run(env, args, exitWith),
  };
}
