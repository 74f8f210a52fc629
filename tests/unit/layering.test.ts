/** Imports point one way: cli -> loader -> loader/sys -> koffi. The linter says it while typing; this proves it. */
import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { dirname, join, normalize } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("../../../", import.meta.url));

function sources(directory: string): string[] {
  return readdirSync(join(root, directory), { recursive: true, encoding: "utf8" })
    .filter((name) => name.endsWith(".ts"))
    .map((name) => join(directory, name));
}

function imports(file: string): string[] {
  const text = readFileSync(join(root, file), "utf8");
  return [...text.matchAll(/(?:from|import\()\s*"([^"]+)"/g)].map(([, target = ""]) =>
    target.startsWith(".") ? normalize(join(dirname(file), target)) : target,
  );
}

const PURE_LEAVES = ["abi", "address", "errors", "spec"].map((name) => `loader/${name}.ts`);

test("loader knows neither cli nor tests, and koffi only in sys", () => {
  const files = sources("loader");
  assert.ok(files.length > 20);
  for (const file of files) {
    for (const target of imports(file)) {
      assert.doesNotMatch(target, /^(cli|tests)\//, `${file} imports ${target}`);
      assert.ok(!["yargs", "prom-client", "yaml"].includes(target), `${file} imports ${target}`);
      if (target === "koffi") assert.match(file, /^loader\/sys\//, `${file} imports koffi`);
      if (file.startsWith("loader/sys/") && target.startsWith("loader/")) {
        assert.match(target, /^loader\/(sys\/|errors\.ts)/, `${file} imports ${target}`);
      }
    }
  }
});

/** `check` and `store` have entries of their own: they must also work where libbpf is missing. */
const WITHOUT_LIBBPF = [
  ["loader/check/index.ts", "loader/check/host.ts"],
  ["loader/store/index.ts", "loader/store/server.ts"],
] as const;
const ENTRIES = ["loader/index.ts", ...WITHOUT_LIBBPF.map(([entry]) => entry)];

test("cli imports the loader's entries and its pure leaves only", () => {
  for (const file of sources("cli")) {
    for (const target of imports(file)) {
      assert.notEqual(target, "koffi", file);
      if (!target.startsWith("loader/")) continue;
      assert.ok([...PURE_LEAVES, ...ENTRIES].includes(target), `${file} imports ${target}`);
    }
    const text = readFileSync(join(root, file), "utf8");
    assert.doesNotMatch(
      text,
      /^import \{[^}]*\} from "[./]*loader\/(check\/|store\/)?index.ts"/m,
      `${file} loads libbpf at once`,
    );
  }
});

for (const [entry, one] of WITHOUT_LIBBPF) {
  test(`what ${entry} imports at once loads no libbpf`, () => {
    const seen = new Set<string>();
    const load = (file: string) => {
      if (seen.has(file)) return;
      seen.add(file);
      const text = readFileSync(join(root, file), "utf8");
      const statements = text.matchAll(/^(?:import|export) (?!type )[^;]*? from "(\.[^"]+)"/gm);
      for (const [, target = ""] of statements) load(normalize(join(dirname(file), target)));
    };
    load(entry);
    assert.ok(seen.has(one));
    assert.deepEqual(
      [...seen].filter((file) => /sys\/lib(bpf)?\.ts$/.test(file)),
      [],
    );
  });
}

test("plan, SPEC, errors and the ABI are pure: no file system, no process, no C", () => {
  const others = ["shapes", "plan", "targets", "generations", "classes"];
  const pure = [...PURE_LEAVES, ...others.map((name) => `loader/${name}.ts`)];
  for (const file of pure) {
    for (const target of imports(file)) {
      assert.ok([...pure, "node:net"].includes(target), `${file} imports ${target}`);
    }
  }
});
