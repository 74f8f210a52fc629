/** The settings of a systemd unit that decide how its command runs. */
import { readFileSync } from "node:fs";

export class UnitFile {
  readonly #lines: readonly string[];

  constructor(path: string) {
    this.#lines = readFileSync(path, "utf8").split("\n");
  }

  get(name: string): string {
    const line = this.#lines.find((text) => text.startsWith(`${name}=`));
    if (line === undefined) throw new Error(`the unit has no ${name}=`);
    return line.slice(name.length + 1);
  }

  /** Returns ExecStart= split as by systemd: a word `$NAME` becomes the words of the variable. */
  command(environment: Readonly<Record<string, string>>): string[] {
    return this.get("ExecStart")
      .split(" ")
      .flatMap((word) => {
        if (!word.startsWith("$")) return [word];
        const value = environment[word.slice(1)];
        if (value === undefined) throw new Error(`${word} is not set`);
        return value.split(" ").filter((part) => part !== "");
      });
  }

  /** Returns CapabilityBoundingSet= in the form of setpriv(1): `-all,+bpf`. */
  boundingSet(): string {
    const names = this.get("CapabilityBoundingSet").toLowerCase().split(" ");
    return ["-all", ...names.map((name) => name.replace(/^cap_/, "+"))].join(",");
  }
}
