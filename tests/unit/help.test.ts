/** Help: its width, its groups, and that its command lines can be copied. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { commandHelp, programHelp } from "../../cli/help/help_text.ts";
import { OPTION_GROUPS, valueName } from "../../cli/help/option_groups.ts";
import { NAME, pages } from "../../cli/line/command_list.ts";
import { textWidth } from "../../cli/output/columns.ts";
import { EXIT } from "../../cli/process/exit.ts";

const all = (await pages()).flatMap((page) => [page, ...page.children]);

for (const width of [40, 80, 100]) {
  test(`no line of help is wider than ${width} columns, except a word that is`, () => {
    const overview = { about: "", pages: all, others: [], exitCodes: EXIT };
    const texts = [
      programHelp(NAME, overview, width),
      ...all.map((page) => commandHelp(NAME, page, width)),
    ];
    for (const line of texts.flatMap((text) => text.split("\n"))) {
      const isLong = line.length > width && width >= 80;
      assert.ok(!isLong, `${line.length}: ${line}`);
    }
  });
}

test("the width is the terminal's, within bounds; 80 if it is not known", () => {
  assert.deepEqual(
    [undefined, "", "x", "0", 0, 60, "60", 90, 250, "250", 10].map(textWidth),
    [80, 80, 80, 80, 80, 60, 60, 90, 100, 100, 40],
  );
});

test("every option has a group, and a name for its value if it has one", () => {
  const known = Object.values(OPTION_GROUPS).flatMap((group) => Object.keys(group));
  const options = all.flatMap((page) => page.options);
  for (const { name, options: it } of options) {
    assert.ok(known.includes(name), name);
    const needsName = it.type === "string" && !it.choices;
    assert.equal(valueName(name) !== undefined, needsName, name);
  }
  const used = new Set(options.map(({ name }) => name));
  assert.deepEqual(
    known.filter((name) => !used.has(name)),
    [],
  );
});

test("attach's options are in groups, those of a small command are one list", () => {
  const help = (name: string) => {
    const page = all.find(({ path }) => path.join(" ") === name);
    assert.ok(page);
    return commandHelp(NAME, page, 80);
  };
  const titles = (name: string) =>
    [...help(name).matchAll(/^(\S[^#\n]*):$/gm)].map(([, title]) => title);
  assert.deepEqual(titles("attach"), [
    "Which listeners",
    "Policy",
    "SO_REUSEPORT for servers that do not set it",
    "Hold",
    "Lifecycle",
    "File descriptors",
    "Limits",
    "Output",
    "Examples",
  ]);
  assert.deepEqual(titles("status"), ["Options", "Examples"]);
  assert.deepEqual(titles("store"), [
    "Commands",
    "Lifecycle",
    "File descriptors",
    "Limits",
    "Output",
    "Examples",
  ]);
  assert.match(help("attach"), /^ {2}--hold TIME {2}/m);
  assert.match(help("attach"), /^ {2}--route kernel\|newest {2}/m);
  assert.doesNotMatch(help("attach"), /\[string\]|\[boolean\]|\[default/);
});

test("the command lines of examples can be copied, however narrow the help is", () => {
  for (const page of all) {
    for (const width of [40, 60, 80]) {
      const text = commandHelp(NAME, page, width).replaceAll(/ \\\n +/g, " ");
      for (const { command } of page.examples) {
        const line = command.replaceAll("$0", NAME);
        assert.ok(text.split("\n").includes(`  ${line}`), `${width}: ${line}`);
      }
      for (const [start = ""] of commandHelp(NAME, page, width).matchAll(/^.* \\$/gm)) {
        assert.equal(start.split("'").length % 2, 1, `a quote is broken: ${start}`);
      }
    }
  }
});
