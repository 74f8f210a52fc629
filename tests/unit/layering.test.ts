/** The rooms of each tree and the direction of imports between them. */
import assert from "node:assert/strict";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { dirname, join, normalize, relative } from "node:path";
import { describe, test } from "node:test";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("../../../", import.meta.url));

interface Tree {
  /** Rooms by level, lowest first; "" is the tree's own folder. Rooms of one level do not know each other. */
  readonly levels: readonly (readonly string[])[];
  /** Files of the tree's own folder that stand above all rooms. */
  readonly top: readonly string[];
}

const TREES: Readonly<Record<string, Tree>> = {
  loader: {
    levels: [
      [""],
      ["core", "sys"],
      ["bpf", "host", "net"],
      ["observe", "group", "store"],
      ["manage", "adoption"],
      ["operate", "selftest"],
      ["sidecar", "check"],
    ],
    top: ["index.ts"],
  },
  cli: {
    levels: [
      [""],
      ["options", "output", "process"],
      ["config", "metrics"],
      ["attach", "commands", "exec", "run", "status", "store"],
    ],
    top: ["main.ts", "bin.ts"],
  },
  "tests/helpers": {
    levels: [[""], ["host"], ["net"], ["load"], ["servers"], ["product"], ["scene"]],
    top: [],
  },
};

/** Most files of one room, and of a tree's own folder. */
const ROOM_FILES = 15;
const OWN_FILES = 10;
/** Most lines of a source file, the ABI header excepted. */
const FILE_LINES = 270;

const textOf = (file: string): string => readFileSync(join(root, file), "utf8");
const roomOf = (tree: string, file: string): string => relative(tree, dirname(file));

function sources(directory: string, ending = /\.ts$/): string[] {
  return readdirSync(join(root, directory), { recursive: true, encoding: "utf8" })
    .filter((name) => ending.test(name))
    .map((name) => join(directory, name));
}

/** Returns the modules a file names, type imports and dynamic ones included; ours as paths from the root. */
function imports(file: string, pattern = /(?:from|import\()\s*"([^"]+)"/g): string[] {
  return [...textOf(file).matchAll(pattern)].map(([, target = ""]) =>
    target.startsWith(".") ? normalize(join(dirname(file), target)) : target,
  );
}

/** Returns the files that are loaded together with `entry`, before any dynamic import. */
function loadedWith(entry: string): Set<string> {
  const seen = new Set<string>();
  const load = (file: string) => {
    if (seen.has(file) || !file.endsWith(".ts")) return;
    seen.add(file);
    const statements = /^(?:import|export) (?!type )[^;]*? from "(\.[^"]+)"/gm;
    for (const target of imports(file, statements)) load(target);
  };
  load(entry);
  return seen;
}

for (const [tree, { levels, top }] of Object.entries(TREES)) {
  describe(tree, () => {
    const files = sources(tree);
    const rank = (file: string): number => {
      const above = top.indexOf(relative(tree, file));
      if (above >= 0) return levels.length + above;
      return levels.findIndex((rooms) => rooms.includes(roomOf(tree, file)));
    };

    test("every file is in a known room", () => {
      for (const file of files) assert.notEqual(rank(file), -1, file);
      for (const room of levels.flat()) assert.ok(existsSync(join(root, tree, room)), room);
    });

    test("a file imports its own room and lower levels only", () => {
      let edges = 0;
      for (const file of files) {
        for (const target of imports(file).filter((it) => it.startsWith(`${tree}/`))) {
          edges++;
          const isOwn = roomOf(tree, file) === roomOf(tree, target);
          if (!isOwn || rank(file) >= levels.length || rank(target) >= levels.length) {
            assert.ok(rank(target) < rank(file), `${file} imports ${target}`);
          }
        }
      }
      assert.ok(edges > files.length / 2, "the test sees imports");
    });

    test("no files import each other in a circle", () => {
      const done = new Set<string>();
      const walk = (file: string, path: readonly string[]) => {
        assert.ok(!path.includes(file), `${[...path, file].join(" -> ")}`);
        if (done.has(file)) return;
        for (const target of imports(file)) {
          if (target.startsWith(`${tree}/`)) walk(target, [...path, file]);
        }
        done.add(file);
      };
      for (const file of files) walk(file, []);
    });

    test("rooms are small", () => {
      for (const room of levels.flat()) {
        const count = readdirSync(join(root, tree, room)).filter((it) => /\.\w+$/.test(it)).length;
        assert.ok(count <= (room === "" ? OWN_FILES : ROOM_FILES), `${tree}/${room}: ${count}`);
      }
    });
  });
}

test("no source file is too long to read in one sitting", () => {
  const files = [...sources("loader"), ...sources("cli"), ...sources("bpf", /\.[ch]$/)];
  assert.ok(files.length > 200);
  for (const file of files.filter((it) => it !== "bpf/reuseport_migrate.h")) {
    const lines = textOf(file).split("\n").length - 1;
    assert.ok(lines <= FILE_LINES, `${file}: ${lines} lines`);
  }
});

test("koffi is imported in loader/sys only; loader knows neither cli, tests nor the cli's packages", () => {
  for (const file of [...sources("loader"), ...sources("cli")]) {
    for (const target of imports(file)) {
      const isSys = file.startsWith("loader/sys/");
      if (target === "koffi") assert.ok(isSys, file);
      if (isSys && target.startsWith("loader/")) {
        assert.match(target, /^loader\/(sys\/|errors\.ts)/, `${file} imports ${target}`);
      }
      if (!file.startsWith("loader/")) continue;
      assert.doesNotMatch(target, /^(cli|tests)\//, `${file} imports ${target}`);
      assert.ok(!["yargs", "prom-client", "yaml"].includes(target), `${file} imports ${target}`);
    }
  }
});

test("core is pure: no file system, process, clock or C", () => {
  for (const file of sources("loader/core")) {
    for (const target of imports(file)) {
      assert.match(target, /^(loader\/(core\/\w+|errors)\.ts|node:net)$/, `${file}: ${target}`);
    }
    assert.doesNotMatch(textOf(file), /\b(process\.|Date\.now|performance\.|setTimeout)/, file);
  }
});

test("cli imports rooms, and the package's face nowhere", () => {
  for (const file of sources("cli")) {
    assert.deepEqual(
      imports(file).filter((it) => /^loader\/(check\/|store\/)?index\.ts$/.test(it)),
      [],
      file,
    );
  }
});

/** `--help`, `check` and the store also work where libbpf is missing. */
for (const entry of [
  "cli/bin.ts",
  ...sources("cli").filter((file) => /\/command\.ts$|^cli\/commands\//.test(file)),
  "loader/check/index.ts",
  "loader/store/index.ts",
]) {
  test(`${entry} loads no libbpf at once`, () => {
    const loaded = [...loadedWith(entry)];
    assert.ok(loaded.length > 1);
    assert.deepEqual(
      loaded.filter((file) => /sys\/libbpf/.test(file)),
      [],
    );
  });
}
