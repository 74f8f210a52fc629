/** Man pages: one of the whole, one a command, one of the config file. Pure. */
import { example, heading, item, markdown, paragraph, prose, title } from "./roff.ts";
import type { Command } from "./tree.ts";

const NAME = "reuseport-migrate";
const SPEC =
  "A SPEC names the address of listeners: `:443` (every address), `192.0.2.7:443`, `[::1]:443`.";
const FILES = [
  ["/etc/default/reuseport-migrate", "arguments of the service `reuseport-migrate.service`"],
  ["/etc/reuseport-migrate.yaml", "many services, one sidecar: `reuseport-migrate.yaml`(5)"],
  ["/sys/fs/bpf/reuseport-migrate", "pins of everything that is attached"],
] as const;

interface ExitCode {
  readonly code: number;
  readonly meaning: string;
}

export const pageName = (path: readonly string[]): string => [NAME, ...path].join("-");

export function mainPage(all: readonly Command[], exits: readonly ExitCode[], version: string) {
  const summary = "restart any SO_REUSEPORT TCP server without refusing or resetting a connection";
  return page(
    title(NAME, 8, version, summary),
    heading("Synopsis"),
    paragraph("`reuseport-migrate` COMMAND [SPEC..] [OPTIONS]"),
    heading("Commands"),
    paragraph(`${SPEC} Every command has \`--help\`.`),
    ...all.map(({ path, summary }) => item(`\`${pageName(path)}\`(8)`, summary)),
    heading("Files"),
    ...FILES.map(([file, text]) => item(`\`${file}\``, text)),
    heading("Exit status"),
    ...exits.map(({ code, meaning }) => item(`${code}`, meaning)),
  );
}

export function commandPage(command: Command, version: string): string {
  const { path, usage, summary, positionals, options, examples, notes, children } = command;
  return page(
    title(pageName(path), 8, version, summary),
    heading("Synopsis"),
    paragraph(usage),
    heading("Description"),
    paragraph(positionals.size > 0 ? `${summary}. ${SPEC}` : `${summary}.`),
    ...notes.flatMap((note) => note.split("\n").map(paragraph)),
    ...[...positionals].map(([name, { describe }]) => item(name.toUpperCase(), String(describe))),
    heading("Options"),
    ...[...options].map(
      ([name, { type, describe, choices, default: value, defaultDescription }]) => {
        const taken = choices ? ` ${choices.join("|")}` : type === "boolean" ? "" : " VALUE";
        const preset = defaultDescription ?? value;
        const end = preset === undefined || preset === false ? "" : ` (default: ${preset})`;
        return item(`\`--${name}\`${taken}`, `${describe}${end}`);
      },
    ),
    item("`--help`", "show help, and exit"),
    examples.length > 0 ? heading("Examples") : "",
    ...examples.flatMap(({ command: line, text }) => [
      paragraph(`${text}:`),
      example([line.replaceAll("$0", NAME)]),
    ]),
    heading("See also"),
    `.PP\n${["reuseport-migrate(8)", ...children.map((child) => `${pageName(child.path)}(8)`)]
      .map(prose)
      .join(", ")}`,
  );
}

/** @param text docs/CONFIG.md */
export function configPage(text: string, version: string): string {
  const body = text.replace(/^# .*\n/, "");
  return page(
    title("reuseport-migrate.yaml", 5, version, "services that one sidecar looks after"),
    heading("Description"),
    markdown(body.trim()),
    heading("See also"),
    paragraph("`reuseport-migrate-attach`(8)"),
  );
}

const page = (...parts: readonly string[]): string => `${parts.filter(Boolean).join("\n")}\n`;
