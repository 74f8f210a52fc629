/** The rooms of each tree and the direction of imports between them. */
import assert from "node:assert/strict";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { basename, dirname, join, normalize, relative } from "node:path";
import { describe, test } from "node:test";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("../../../", import.meta.url));

interface Tree {
  /**
   * Rooms by level, lowest first; "" is the folder of the tree. Rooms of one level do not import
   * each other.
   */
  readonly levels: readonly (readonly string[])[];
  /** Files in the folder of the tree that are above all rooms. */
  readonly top: readonly string[];
  /** Names that several rooms may use for a file. */
  readonly repeatable: readonly string[];
}

const TREES: Readonly<Record<string, Tree>> = {
  loader: {
    levels: [
      [""],
      ["core", "sys"],
      ["bpf", "host", "keeper", "lender"],
      ["events", "net"],
      ["observe", "group", "store"],
      ["hold"],
      ["manage", "adoption"],
      ["operate", "selftest", "service"],
      ["sidecar", "check"],
    ],
    top: ["index.ts"],
    repeatable: ["index.ts"],
  },
  cli: {
    levels: [
      [""],
      ["options", "output", "page/browser", "process"],
      ["config", "help", "metrics", "page", "timeline"],
      ["attach", "commands", "events", "exec", "run", "status", "store", "systemd"],
      ["line"],
    ],
    top: ["main.ts", "bin.ts"],
    repeatable: ["command.ts", "options.ts", "policy.ts"],
  },
  library: { levels: [[""]], top: ["index.ts"], repeatable: [] },
  "tests/helpers": {
    levels: [[""], ["host"], ["hostile"], ["net"], ["load"], ["servers"], ["product"], ["scene"]],
    top: [],
    repeatable: [],
  },
};

/** The most files of a room, and of the folder of a tree. */
const ROOM_FILES = 15;
const OWN_FILES = 10;
/** The most lines of a source file, except the ABI header. */
const FILE_LINES = 250;

const textOf = (file: string): string => readFileSync(join(root, file), "utf8");
const roomOf = (tree: string, file: string): string => relative(tree, dirname(file));

function sources(directory: string, ending = /\.ts$/): string[] {
  return readdirSync(join(root, directory), { recursive: true, encoding: "utf8" })
    .filter((name) => ending.test(name))
    .map((name) => join(directory, name));
}

/**
 * Returns the modules a file imports, also as types or dynamically; ours as paths from the root.
 */
function imports(file: string, pattern = /(?:from|import\()\s*"([^"]+)"/g): string[] {
  return [...textOf(file).matchAll(pattern)].map(([, target = ""]) =>
    target.startsWith(".") ? normalize(join(dirname(file), target)) : target,
  );
}

/** Imports and exports that load the module: neither types nor dynamic imports. */
const LOADED = /^(?:import|export) (?!type )[^;]*? from "([^"]+)"/gm;

/** Returns the files that are loaded together with `entry`, before any dynamic import. */
function loadedWith(entry: string): Set<string> {
  const seen = new Set<string>();
  const load = (file: string) => {
    if (seen.has(file) || !file.endsWith(".ts")) return;
    seen.add(file);
    for (const target of imports(file, LOADED)) load(target);
  };
  load(entry);
  return seen;
}

for (const [tree, { levels, top, repeatable }] of Object.entries(TREES)) {
  describe(tree, () => {
    const files = sources(tree);
    const rank = (file: string): number => {
      const above = top.indexOf(relative(tree, file));
      if (above >= 0) return levels.length + above;
      return levels.findIndex((rooms) => rooms.includes(roomOf(tree, file)));
    };

    test("every file is in a known room and every known room exists", () => {
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
      assert.ok(edges > files.length / 2, "the test found too few imports");
    });

    test("no files import each other in a cycle", () => {
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

    test("every room is small", () => {
      for (const room of levels.flat()) {
        const count = readdirSync(join(root, tree, room)).filter((it) => /\.\w+$/.test(it)).length;
        assert.ok(count <= (room === "" ? OWN_FILES : ROOM_FILES), `${tree}/${room}: ${count}`);
      }
    });

    test("no two files have the same name", () => {
      const seen = new Map<string, string>();
      const names = files.filter((it) => !repeatable.includes(basename(it)));
      for (const file of names) {
        const other = seen.get(basename(file));
        assert.equal(other, undefined, `${file} and ${other}`);
        seen.set(basename(file), file);
      }
    });
  });
}

test("no source file is too long to read in one sitting", () => {
  const files = [
    ...sources("loader"),
    ...sources("cli"),
    ...sources("library"),
    ...sources("bpf", /\.[ch]$/),
  ];
  assert.ok(files.length > 200);
  for (const file of files) {
    const lines = textOf(file).split("\n").length - 1;
    assert.ok(lines <= FILE_LINES, `${file}: ${lines} lines`);
  }
});

test("only loader/sys imports koffi; loader imports neither cli nor tests nor the packages of cli", () => {
  for (const file of [...sources("loader"), ...sources("cli"), ...sources("library")]) {
    for (const target of imports(file)) {
      const isSys = file.startsWith("loader/sys/");
      if (target === "koffi") assert.ok(isSys, file);
      if (isSys && target.startsWith("loader/")) {
        assert.match(target, /^loader\/(sys\/|errors\.ts|owned\.ts)/, `${file} imports ${target}`);
      }
      if (!file.startsWith("loader/")) continue;
      assert.doesNotMatch(target, /^(cli|tests)\//, `${file} imports ${target}`);
      assert.ok(
        !["yargs", "prom-client", "yaml", "bcryptjs"].includes(target),
        `${file} imports ${target}`,
      );
    }
  }
});

/** Modules without effects that do not say "Pure.". */
const HARMLESS = ["loader/errors.ts", "loader/sys/constants.ts", "node:net", "yaml"];
const EFFECTS =
  /\b(process\.\w|Date\.now|new Date\(\)|performance\.|setTimeout|setInterval|Math\.random)/;

/** The part of biome.json that restricts imports. */
interface BiomeConfig {
  readonly overrides: readonly {
    readonly includes: readonly string[];
    readonly linter?: {
      readonly rules?: {
        readonly style?: { readonly noRestrictedImports?: { readonly level: string } };
      };
    };
  }[];
}

/** Matches the two forms of glob in biome.json: a file, and `folder/**`. */
function matchesGlob(file: string, glob: string): boolean {
  return glob.endsWith("/**") ? file.startsWith(glob.slice(0, -2)) : file === glob;
}

/** A file is pure if it is in core or if its first comment says so. */
const claimsPurity = (file: string): boolean =>
  file.startsWith("loader/core/") || /^\/\*\*(?:(?!\*\/)[\s\S])*?\bPure[.:]/.test(textOf(file));

test("a pure file uses no file system, process, clock or C, and imports only pure files", () => {
  const all = [...sources("loader"), ...sources("cli"), ...sources("tests/bench")];
  const pure = all.filter(claimsPurity);
  assert.ok(pure.length > sources("loader/core").length + 5, "the test found too few claims");
  for (const file of pure) {
    // A type is not loaded, so it may come from anywhere, except in core.
    const targets = file.startsWith("loader/core/") ? imports(file) : imports(file, LOADED);
    for (const target of targets) {
      assert.ok(HARMLESS.includes(target) || claimsPurity(target), `${file} imports ${target}`);
    }
    assert.doesNotMatch(textOf(file), EFFECTS, file);
  }
});

test("the rules of the linter about imports cover every file of loader and cli", () => {
  const { overrides } = JSON.parse(textOf("biome.json")) as BiomeConfig;
  const globs = overrides
    .filter(({ linter }) => linter?.rules?.style?.noRestrictedImports?.level === "error")
    .map(({ includes }) => includes);
  const covers = (includes: readonly string[], file: string) =>
    includes.some((glob) => matchesGlob(file, glob)) &&
    !includes.some((glob) => glob.startsWith("!") && matchesGlob(file, glob.slice(1)));
  for (const file of [...sources("loader"), ...sources("cli"), ...sources("library")]) {
    const isSys = file.startsWith("loader/sys/");
    const isCovered = globs.some((includes) => covers(includes, file));
    assert.equal(isCovered, !isSys, `${file}: covered by biome.json: ${isCovered}`);
  }
});

test("cli and library import rooms and never an index", () => {
  for (const file of [...sources("cli"), ...sources("library")]) {
    assert.deepEqual(
      imports(file).filter((it) => /^loader\/(check\/|store\/)?index\.ts$/.test(it)),
      [],
      file,
    );
  }
});

/** `--help`, `check` and the store also work on a host without libbpf. */
for (const entry of [
  "cli/bin.ts",
  "cli/main.ts",
  ...sources("cli").filter((file) => /\/command\.ts$|^cli\/commands\//.test(file)),
  "loader/check/index.ts",
  "loader/store/index.ts",
  "library/index.ts",
]) {
  test(`${entry} loads no libbpf at once`, () => {
    const loaded = [...loadedWith(entry)];
    assert.ok(loaded.includes(entry)); // completion.ts loads no other
    assert.deepEqual(
      loaded.filter((file) => /sys\/libbpf/.test(file)),
      [],
    );
  });
}

test("no two exported things have the same name", () => {
  const homes = new Map<string, string>();
  const exported =
    /^export (?:abstract )?(?:async )?(?:function\*?|class|const|type|interface) (\w+)/gm;
  for (const file of [...sources("loader"), ...sources("cli"), ...sources("library")]) {
    for (const [, name = ""] of textOf(file).matchAll(exported)) {
      const other = homes.get(name) ?? file;
      assert.equal(other, file, `${name} is exported by ${file} and ${other}`);
      homes.set(name, file);
    }
  }
  assert.ok(homes.size > 300);
});
