/** Config files: every text is a config that reads back the same, or its mistakes by line. */
import assert from "node:assert/strict";
import { stringify } from "yaml";
import { ConfigError } from "../../cli/config/document.ts";
import { SERVICE_KEYS } from "../../cli/config/keys.ts";
import { printed } from "../../cli/config/print.ts";
import { type Config, parseConfig } from "../../cli/config/schema.ts";
import { fileKeyOf, HOST_KEYS } from "../../cli/options/host.ts";
import { printable } from "../../loader/printable.ts";
import type { Random } from "../helpers/random.ts";
import { fuzz } from "./fuzz.ts";
import { mutateText } from "./mutate.ts";

const FILE = "f.yaml";
/** Keys and values that mean something to YAML, to JavaScript, or to this program. */
const NAMES = [
  "web",
  "80",
  "a.b",
  "__proto__",
  "constructor",
  "toString",
  "0",
  "",
  "x y",
  "é",
  "<<",
];
const VALUES = [
  ...[":443", "[::]:80", "127.0.0.1:1", "443", "all", "own", "/run/netns/x", "1", "4194304", "10s"],
  ...[
    "500ms",
    "0",
    "newest",
    "any",
    "observe",
    "strict",
    "tcp",
    "true",
    "/a/b",
    "off",
    "0x10",
    "~",
  ],
  ...["[::1]:9944", "1e3", "", " ", "\u001b[2J", "\n", "x".repeat(70)],
];
const TOKENS = [
  ...[
    "\n",
    "  ",
    "- ",
    ": ",
    "? ",
    "#",
    "&a ",
    "*a",
    "<<: ",
    "!!str ",
    "!!binary ",
    "!x ",
    "---\n",
  ],
  ...[
    "...\n",
    "%YAML 1.1\n",
    "{",
    "}",
    "[",
    "]",
    ",",
    '"',
    "'",
    "|\n",
    ">-\n",
    "\t",
    "\ufeff",
    "\\u0000",
  ],
  ...["services:", "listen:", "hold:", "__proto__: ", "null", "true", "1.0", "0o7", ".inf", "\r\n"],
];

type Tree = string | number | boolean | null | Tree[] | { [key: string]: Tree };

function value(random: Random, depth = 0): Tree {
  return random.pick<() => Tree>([
    () => random.pick(VALUES),
    () => random.pick(VALUES),
    () => random.number(),
    () => random.oneIn(2),
    () => null,
    () => (depth > 3 ? 1 : random.list(3, () => value(random, depth + 1))),
    () => (depth > 3 ? 1 : object(random, [...NAMES, "time", "max"], 3, depth + 1)),
  ])();
}

function object(random: Random, keys: readonly string[], max: number, depth = 0): Tree {
  const pairs = random.list(max, () => [random.pick(keys), value(random, depth)] as const);
  return Object.fromEntries(pairs);
}

/** Returns a service that is right, except for up to two values. */
function service(random: Random): Tree {
  const right: { [key: string]: Tree } = {
    listen: random.list(2, () => `:${1 + random.below(65535)}`),
    migrate: random.pick(["newest", "any", "off"]),
    hold: random.pick<Tree>(["10s", { time: "500ms", max: 9 }]),
    cgroup: "/a/b",
    adopt: random.pick<Tree>([true, { max: 3 }]),
    netns: random.pick<Tree>(["all", "/run/netns/a", 7]),
  };
  const keys = Object.keys(right).filter((key) => key === "listen" || random.oneIn(3));
  const kept = Object.fromEntries(keys.map((key) => [key, right[key] as Tree]));
  // systemctl(1) takes its time.
  const names = [...SERVICE_KEYS.map((key) => key.split(".")[0] ?? ""), ...NAMES];
  const known = names.filter((key) => key !== "unit" || random.oneIn(100));
  return { ...kept, ...(random.oneIn(2) ? (object(random, known, 2) as object) : {}) };
}

function tree(random: Random): Tree {
  if (random.oneIn(20)) return value(random);
  const names = random.list(3, () =>
    random.oneIn(4) ? random.pick(NAMES) : `s${random.below(4)}`,
  );
  const services = Object.fromEntries(names.map((name) => [name, service(random)]));
  const host = random.oneIn(2)
    ? (object(random, [...HOST_KEYS.map(fileKeyOf), ...NAMES], 2) as object)
    : {};
  return { services: random.oneIn(20) ? value(random) : services, ...host };
}

function text(random: Random): string {
  const made = tree(random);
  const written = random.pick([
    () => JSON.stringify(made),
    () => JSON.stringify(made, null, 2),
    () => stringify(made),
    () => stringify(made, { collectionStyle: "flow" }),
  ])();
  if (random.oneIn(500)) return random.pick(["[", "{a: ", "- ", "? "]).repeat(random.below(5_000));
  return random.oneIn(2) ? written : mutateText(random, written, TOKENS);
}

/** What a polluted prototype would show. */
const inherited = () => {
  const found: string[] = [];
  for (const key in {}) found.push(key);
  for (const key in []) found.push(key);
  return [...found, ...Reflect.ownKeys(Object.prototype)].length;
};
const CLEAN = inherited();

fuzz("config file", {
  make: text,
  outcomes: ["a config", "refused"],
  check(input) {
    let config: Config;
    try {
      config = parseConfig(FILE, input);
    } catch (error) {
      assert.ok(error instanceof ConfigError, `not a ConfigError: ${(error as Error).stack}`);
      const lines = input.split("\n").length;
      assert.ok(error.problems.length > 0);
      for (const problem of error.problems) {
        const line = Number(/^f\.yaml:(\d+): ./s.exec(problem)?.[1]);
        assert.ok(line >= 1 && line <= lines, `${lines} lines: ${problem}`);
        assert.doesNotMatch(problem, /call stack|\[object/);
        assert.equal(problem, printable(problem), "a control character is shown");
      }
      return "refused";
    } finally {
      assert.equal(inherited(), CLEAN, "a prototype was changed");
    }
    const json = printed(config.host, config.services, true);
    for (const again of [json, printed(config.host, config.services, false)]) {
      const { host, services } = parseConfig(FILE, again);
      assert.equal(printed(host, services, true), json, "printed, it says something else");
      assert.deepEqual(
        services.map(({ options }) => options),
        config.services.map(({ options }) => options),
      );
    }
    return "a config";
  },
});
