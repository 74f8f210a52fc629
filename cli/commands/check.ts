/** check: is this host fit, and is this kernel honest? */
import type { Argv, CommandModule } from "yargs";
import type { Env } from "../env.ts";
import { bpffsOf, bpffsOption, specs } from "../options/values.ts";
import { checkJson, checkText } from "../output/check_text.ts";

interface Arguments {
  readonly spec: string[] | undefined;
  readonly bpffs: string | undefined;
  readonly json: boolean | undefined;
}

function options(yargs: Argv): Argv<Arguments> {
  return yargs
    .positional("spec", {
      type: "string",
      array: true,
      describe: "also: would attaching to these work, and if not, what to do",
    })
    .option("bpffs", bpffsOption)
    .option("json", { type: "boolean", describe: "print JSON" })
    .example("$0 check", "before the first attach, and after an upgrade of the kernel")
    .example("$0 check :443", "would attaching to port 443 work?")
    .epilogue(
      "Exit codes of check: 0 fit, 1 not fit (or it failed itself), 2 fit with warnings (or wrong usage).\n" +
        "It attaches to no listener but its own, in a network namespace of its own, and leaves nothing.",
    );
}

async function run(env: Env, args: Arguments, exitWith: (code: number) => void): Promise<void> {
  const wanted = specs(args.spec);
  const { checkHost, kernelNotes } = await import("../../loader/check/host.ts");
  const { checkSpecs } = await import("../../loader/check/specs.ts");
  const { VERDICTS, checkVerdict } = await import("../../loader/check/probe.ts");
  const how = { ...bpffsOf(args.bpffs), signal: env.stop };
  const host = await checkHost(how);
  const places = await checkSpecs(wanted, host, how);
  if (env.stop.aborted) throw new Error(`check was interrupted by ${env.stop.reason}`);
  const verdict = checkVerdict([...host, ...places.flatMap(({ results }) => results)]);
  const report = { verdict, host, places, defects: kernelNotes() };
  const text = args.json ? JSON.stringify(checkJson(report), null, 2) : checkText(report);
  env.stdout.write(`${text}\n`);
  exitWith(VERDICTS.indexOf(verdict));
}

export function checkCommand(
  env: Env,
  exitWith: (code: number) => void,
): CommandModule<object, Arguments> {
  return {
    command: "check [spec..]",
    describe: "Probe this host and test this kernel: is it fit?",
    builder: options,
    handler: (args) => run(env, args, exitWith),
  };
}
