/** The documents: their lengths, their links, and the files they name. */
import assert from "node:assert/strict";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { describe, test } from "node:test";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("../../../", import.meta.url));

/** Most lines of a document that has to stay short. */
const LINES: Readonly<Record<string, number>> = { "README.md": 130, "docs/ARCHITECTURE.md": 200 };
const COLUMNS = 100;

const documents = [
  ...readdirSync(root).filter((name) => name.endsWith(".md")),
  ...readdirSync(join(root, "docs"), { recursive: true, encoding: "utf8" })
    .filter((name) => name.endsWith(".md"))
    .map((name) => join("docs", name)),
];

const textOf = (document: string): string => readFileSync(join(root, document), "utf8");

/** Returns the text outside of code blocks and of the benchmark's table. */
function prose(document: string): string {
  return textOf(document)
    .replace(/^```[\s\S]*?^```$/gm, "")
    .replace(/<!-- bench: written[\s\S]*?<!-- bench: end -->/g, "");
}

/** Returns the anchors of a document's headings, as GitHub makes them. */
function anchors(document: string): string[] {
  return [...prose(document).matchAll(/^#+ (.*)$/gm)].map(([, heading = ""]) =>
    heading
      .toLowerCase()
      .replace(/[^\p{L}\p{N}\s_-]/gu, "")
      .replace(/ /g, "-"),
  );
}

test("the documents are found", () => {
  for (const document of ["README.md", "docs/HOLD.md", "docs/decisions/core.md"]) {
    assert.ok(documents.includes(document), document);
  }
});

for (const [document, most] of Object.entries(LINES)) {
  test(`${document} has at most ${most} lines`, () => {
    const lines = textOf(document).split("\n").length - 1;
    assert.ok(lines <= most, `${lines}`);
  });
}

for (const document of documents) {
  describe(document, () => {
    test(`wraps at ${COLUMNS} columns, tables and URLs excepted`, () => {
      const long = prose(document)
        .split("\n")
        .filter((line) => line.length > COLUMNS && !/^\s*\||https?:\/\//.test(line));
      assert.deepEqual(long, []);
    });

    test("every relative link leads somewhere", () => {
      for (const [, target = ""] of prose(document).matchAll(/\]\(([^)\s]+)\)/g)) {
        if (/^https?:/.test(target)) continue;
        const [path = "", anchor] = target.split("#");
        const file = path === "" ? document : join(dirname(document), path);
        assert.ok(existsSync(join(root, file)), target);
        if (anchor !== undefined) assert.ok(anchors(file).includes(anchor), target);
      }
    });

    test("every source file it names exists", () => {
      const named = /(?<![\w./-])(?:loader|cli|tests|bpf|deploy|examples)\/[\w./-]*\w/g;
      for (const [path] of textOf(document).matchAll(named)) {
        if (path.endsWith(".md")) continue;
        assert.ok(existsSync(join(root, path)), path);
      }
    });
  });
}

test("every room of the loader has its decisions", () => {
  const text = documents
    .filter((name) => name.startsWith("docs/decisions/"))
    .map(textOf)
    .join("");
  const rooms = readdirSync(join(root, "loader"), { withFileTypes: true });
  for (const { name } of rooms.filter((entry) => entry.isDirectory())) {
    if (name !== "sys") assert.match(text, new RegExp(`\\b${name}/`), name);
  }
});
