/** completion: prints the script of a shell, which `make build` wrote. */
import { readFileSync } from "node:fs";
import type { Argv, CommandModule } from "yargs";
import type { Env } from "../env.ts";

const SHELLS = ["bash", "zsh", "fish"] as const;

interface Arguments {
  readonly shell: (typeof SHELLS)[number];
}

function options(yargs: Argv): Argv<Arguments> {
  return yargs
    .positional("shell", { choices: SHELLS, demandOption: true, describe: "which shell" })
    .example("source <($0 completion bash)", "for this shell")
    .example("$0 completion fish > ~/.config/fish/completions/reuseport-migrate.fish", "for good");
}

export function completionCommand(env: Env): CommandModule<object, Arguments> {
  return {
    command: "completion <shell>",
    describe: "Print the completion script of a shell; packages install it",
    builder: options,
    handler: ({ shell }) => {
      const script = new URL(`../../share/completions/${shell}`, import.meta.url);
      env.stdout.write(readFileSync(script, "utf8"));
    },
  };
}
