/** The capabilities of each command: docs/SECURITY.md shows this table, and tests run it. */
import { CAPABILITIES, OPTIONAL_CAPABILITIES, RIGHTS } from "../../../loader/host/capabilities.ts";

/** Right of each command; null: none. */
export const COMMAND_RIGHTS: Readonly<Record<string, keyof typeof RIGHTS | null>> = {
  attach: "attach",
  exec: "attach",
  policy: "change",
  drain: "change",
  undrain: "change",
  release: "change",
  detach: "change",
  status: "read",
  "status --watch": "read",
  events: "read",
  metrics: "read",
  run: "read",
  check: null,
  completion: null,
  "systemd-dropin": null,
  store: null,
  "store put": null,
  "store take": null,
  "store list": null,
  "store drop": null,
  "store exec": null,
  "attach --print-config": null,
};

export const REQUIRED = CAPABILITIES.map(({ name }) => name);
export const OPTIONAL = OPTIONAL_CAPABILITIES.map(({ name }) => name);

/** Returns the capabilities of a command. */
export function rightsOf(command: string): readonly string[] {
  const right = COMMAND_RIGHTS[command];
  return right ? RIGHTS[right] : [];
}

/** Returns the rows of the table: commands of equal rights together. */
export function rightsTable(): string {
  const rights = [...new Set(Object.values(COMMAND_RIGHTS))];
  const rows = rights.map((right) => {
    const commands = Object.keys(COMMAND_RIGHTS).filter((it) => COMMAND_RIGHTS[it] === right);
    const cells = REQUIRED.map((name) => {
      const needed: readonly string[] = right ? RIGHTS[right] : [];
      return needed.includes(name) ? "yes" : "";
    });
    return `| ${[commands.map((it) => `\`${it}\``).join(", "), ...cells].join(" | ")} |`;
  });
  return [
    `| command | ${REQUIRED.join(" | ")} |`,
    `|---|${"---|".repeat(REQUIRED.length)}`,
    ...rows,
  ].join("\n");
}

/** A command that starts another one as root with these capabilities (`CAP_BPF`) and no other. */
export function withCapabilities(names: readonly string[]): string[] {
  const set = ["-all", ...names.map((name) => name.toLowerCase().replace(/^cap_/, "+"))].join(",");
  return ["setpriv", `--bounding-set=${set}`, "--inh-caps=-all", "--"];
}
