/** systemd-dropin: a drop-in that measures the reloads of a unit. */
import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Argv, CommandModule } from "yargs";
import { AbsentError, UsageError } from "../../loader/errors.ts";
import type { Env } from "../env.ts";
import { once, specs } from "../options/values.ts";
import { executableIn } from "../process/spec_command.ts";
import { dropInText } from "./drop_in.ts";
import { reloadCommands, type UnitCommand } from "./unit_text.ts";

const UNITS = "/etc/systemd/system";
const NAME = "reuseport-migrate";
const TIMEOUT_MS = 10_000;

interface Arguments {
  readonly unit: string;
  readonly spec: string[] | undefined;
  readonly install: boolean | undefined;
}

function options(yargs: Argv): Argv<Arguments> {
  return yargs
    .positional("unit", {
      type: "string",
      demandOption: true,
      describe: "the service whose reloads to measure, such as nginx",
    })
    .positional("spec", {
      type: "string",
      array: true,
      defaultDescription: "every attached group",
      describe: "groups to measure",
    })
    .option("install", {
      type: "boolean",
      describe: `write it to ${UNITS}/UNIT.d/${NAME}.conf instead of printing it`,
    })
    .example("$0 systemd-dropin nginx", "what it would be")
    .example("$0 systemd-dropin nginx :80 --install", "then: systemctl daemon-reload")
    .epilogue(
      "The last command of ExecReload= runs below 'run --advisory': the journal of the unit says how many connections it migrated or lost, a reload takes as much longer as run waits (--settle), and succeeds or fails as before, also if nothing is attached or this program is removed.",
    );
}

/** Runs systemctl; returns its stdout. @throws AbsentError */
function systemctl(...args: string[]): string {
  try {
    return execFileSync("systemctl", args, {
      encoding: "utf8",
      stdio: ["ignore", "pipe", "pipe"],
      timeout: TIMEOUT_MS,
    });
  } catch (error) {
    const { code, stderr } = error as NodeJS.ErrnoException & { readonly stderr?: string };
    const why =
      code === "ENOENT"
        ? "there is no systemctl"
        : (stderr?.trim().split("\n")[0] ?? String(error));
    throw new AbsentError(`systemd-dropin requires systemd: ${why}`);
  }
}

/** @throws AbsentError if the unit is not there; UsageError if it has nothing to measure */
function run(env: Env, args: Arguments): void {
  const service = serviceOf(once("UNIT", args.unit) ?? "");
  const file = join(UNITS, `${service.unit}.d`, `${NAME}.conf`);
  const commands = reloadCommands(systemctl("cat", "--no-pager", "--", service.unit), file);
  const program = executableIn(env.vars["PATH"] ?? "", NAME);
  const obstacle = obstacleTo(commands.at(-1), service.user);
  if (obstacle !== null) throw new UsageError(`${service.unit}: ${obstacle}`);
  if (program === null) throw new AbsentError(`${NAME} is not in PATH: install it first`);
  const texts = specs(args.spec).map(({ text }) => text);
  const text = dropInText({ unit: service.unit, commands, program, specs: texts });
  env.stdout.write(args.install ? install(file, text) : text);
}

/** Returns why the last command of a reload cannot be measured; null if it can. */
function obstacleTo(last: UnitCommand | undefined, user: string): string | null {
  if (!last) return "it has no ExecReload=, so there is no command to measure";
  if (/\brun --advisory\b/.test(last.line)) return "its ExecReload= is measured already";
  if (last.prefix.includes("@")) {
    return "its ExecReload= gives the command another name (@), which 'run' cannot do";
  }
  const isRoot = user === "" || user === "root" || /[+!]/.test(last.prefix);
  return isRoot ? null : `its ExecReload= runs as ${user}, who may not read what is attached`;
}

/** Returns the full name of a service that systemd has loaded, and its user. */
function serviceOf(name: string): { readonly unit: string; readonly user: string } {
  if (!/^\w[\w:.\\@-]*$/.test(name)) throw new AbsentError(`unit ${name}: not a valid unit name`);
  const full = name.endsWith(".service") ? name : `${name}.service`;
  const text = systemctl("show", "--property=Id,LoadState,User", "--", full);
  const properties = new Map(text.split("\n").map((line) => line.split("=") as [string, string]));
  const state = properties.get("LoadState");
  if (state !== "loaded") {
    throw new AbsentError(`unit ${full} is ${state}; see 'systemctl list-units --type=service'`);
  }
  return { unit: properties.get("Id") ?? full, user: properties.get("User") ?? "" };
}

/** Writes the drop-in as a whole; returns what to say. */
function install(file: string, text: string): string {
  if (existsSync(file) && readFileSync(file, "utf8") === text) return `${file} is there already\n`;
  mkdirSync(join(file, ".."), { recursive: true });
  writeFileSync(`${file}.new`, text, { mode: 0o644 });
  renameSync(`${file}.new`, file);
  return `wrote ${file}; now run: systemctl daemon-reload\n`;
}

export function systemdDropinCommand(env: Env): CommandModule<object, Arguments> {
  return {
    command: "systemd-dropin <unit> [spec..]",
    describe: "Print or install a drop-in that measures the reloads of a systemd service",
    builder: options,
    handler: (args) => run(env, args),
  };
}
