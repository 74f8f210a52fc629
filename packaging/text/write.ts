/** Writes man pages and completions into dist/share (`make build`). */
import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { EXIT } from "../../cli/process/exit.ts";
import { version } from "../../cli/version.ts";
import { bashCompletion } from "./bash.ts";
import { fishCompletion } from "./fish.ts";
import { commandPage, configPage, mainPage, pageName } from "./man.ts";
import { commandTree, flat } from "./tree.ts";
import { zshCompletion } from "./zsh.ts";

const root = new URL("../../../", import.meta.url);
const share = new URL("dist/share/", root);
const commands = await commandTree();
const config = readFileSync(new URL("docs/CONFIG.md", root), "utf8");

const files = new Map([
  ["man/man8/reuseport-migrate.8", mainPage(flat(commands), EXIT, version())],
  ["man/man5/reuseport-migrate.yaml.5", configPage(config, version())],
  ["completions/bash", bashCompletion(commands)],
  ["completions/zsh", zshCompletion(commands)],
  ["completions/fish", fishCompletion(commands)],
]);
for (const command of flat(commands)) {
  files.set(`man/man8/${pageName(command.path)}.8`, commandPage(command, version()));
}

rmSync(share, { recursive: true, force: true });
for (const [name, text] of files) {
  const file = new URL(name, share);
  mkdirSync(new URL(".", file), { recursive: true });
  writeFileSync(file, text);
}
