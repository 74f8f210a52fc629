/** check: probes this host and tests this kernel. */
import type { Argv, CommandModule } from "yargs";
import type { Env } from "../env.ts";
import { bpffsOf, type PinnedArguments, pinnedOptions } from "../options/pinned.ts";
import { specs } from "../options/values.ts";
import { painter } from "../output/colour.ts";
import { widthOf } from "../output/columns.ts";

interface Arguments extends PinnedArguments {
  readonly strict: boolean | undefined;
  readonly verbose: boolean | undefined;
}

function options(yargs: Argv): Argv<Arguments> {
  const how = yargs
    .option("strict", { type: "boolean", describe: "exit with 1 for warnings, too" })
    .option("verbose", { type: "boolean", describe: "list every probe, not only problems" });
  return pinnedOptions(how, "also test whether attaching to these would work")
    .example("$0 check", "before the first attach, and after an upgrade of the kernel")
    .example("$0 check :443", "would attaching to port 443 work?")
    .epilogue(
      "Exit codes of check: 0 fit, also with warnings; 1 not fit; with --strict, 1 for warnings too.\n" +
        "It attaches only to its own listeners, in a network namespace of its own, and removes both.",
    );
}

async function run(env: Env, args: Arguments, exitWith: (code: number) => void): Promise<void> {
  const all = specs(args.spec);
  const { checkHost, kernelNotes } = await import("../../loader/check/host.ts");
  const { checkSpecs } = await import("../../loader/check/specs.ts");
  const { checkVerdict } = await import("../../loader/check/probe.ts");
  const { checkJson, checkText } = await import("../output/check_text.ts");
  const how = { ...bpffsOf(args.bpffs), signal: env.stop };
  const host = await checkHost(how);
  const groups = await checkSpecs(all, host, how);
  if (env.stop.aborted) throw new Error(`check was interrupted by ${env.stop.reason}`);
  const verdict = checkVerdict([...host, ...groups.flatMap(({ results }) => results)]);
  const report = { verdict, host, groups, defects: kernelNotes() };
  const layout = { verbose: args.verbose === true, width: widthOf(env) };
  const text = args.json
    ? JSON.stringify(checkJson(report), null, 2)
    : painter("check", env.stdout, env.vars)(checkText(report, layout));
  env.stdout.write(`${text}\n`);
  const isFit = args.strict ? verdict === "fit" : verdict !== "not fit";
  exitWith(isFit ? 0 : 1);
}

export function checkCommand(
  env: Env,
  exitWith: (code: number) => void,
): CommandModule<object, Arguments> {
  return {
    command: "check [spec..]",
    describe: "Check whether this host and its kernel are fit",
    builder: options,
    handler: (args) => run(env, args, exitWith),
  };
}
