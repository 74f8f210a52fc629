/** Man pages and completions have every command and option of the command line. */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { describe, test } from "node:test";
import { bashCompletion } from "../../packaging/text/bash.ts";
import { fishCompletion } from "../../packaging/text/fish.ts";
import { commandPage } from "../../packaging/text/man.ts";
import { markdown, prose } from "../../packaging/text/roff.ts";
import { commandTree, flat } from "../../packaging/text/tree.ts";
import { zshCompletion } from "../../packaging/text/zsh.ts";

const commands = await commandTree();

describe("completions", () => {
  const forms = [
    [bashCompletion(commands), (name: string) => `--${name}`],
    [zshCompletion(commands), (name: string) => `--${name}`],
    [fishCompletion(commands), (name: string) => `-l ${name} `],
  ] as const;
  for (const [script, form] of forms) {
    test(script.split("\n")[0] ?? "", () => {
      for (const { path, options } of flat(commands)) {
        assert.match(script, new RegExp(`\\b${path.at(-1)}\\b`));
        for (const name of options.keys()) assert.ok(script.includes(form(name)), name);
      }
    });
  }

  test("bash parses its script", () => {
    execFileSync("bash", ["-n"], { input: bashCompletion(commands) });
  });
});

test("a man page has the usage, every option and every example of its command", () => {
  for (const command of flat(commands)) {
    const page = commandPage(command, "1.2.3");
    for (const name of command.options.keys()) {
      assert.ok(page.includes(`\\fB\\-\\-${name.replaceAll("-", "\\-")}\\fP`), name);
    }
    for (const { text } of command.examples) assert.ok(page.includes(prose(`${text}:`)), text);
    // No line of text is a request of roff.
    for (const line of page.split("\n")) assert.doesNotMatch(line, /^'|^\.(?![A-Za-z]{2}\b)/);
  }
});

test("Markdown as roff: tables, lists, code, and characters that roff would interpret", () => {
  assert.equal(markdown("| key | |\n|---|---|\n| `a` | x \\| y |"), ".TP\n\\fBa\\fP\nx | y");
  assert.equal(markdown("- one\n  more\n- two"), ".IP \\(bu 2\none more\n.IP \\(bu 2\ntwo");
  assert.equal(markdown("```sh\n.a\n\n'b\n```"), ".PP\n.RS 4\n.nf\n\\&.a\n \n\\(aqb\n.fi\n.RE");
  assert.equal(prose("[a-b](c.md) \\n"), "a\\-b \\en");
});
