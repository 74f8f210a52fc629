/** Config files: what is wrong is said with its path and line, all at once. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { ConfigError } from "../../cli/config/document.ts";
import { type Config, parseConfig } from "../../cli/config/schema.ts";

const parse = (text: string): Config => parseConfig("f.yaml", text);
const web = (lines: string) => `services:\n  web:\n    listen: ":1"\n    ${lines}\n`;

function problems(text: string): readonly string[] {
  try {
    parse(text);
  } catch (error) {
    assert.ok(error instanceof ConfigError, String(error));
    return error.problems;
  }
  return [];
}

const WRONG: [text: string, says: RegExp][] = [
  ["", /^f\.yaml:1: must be a map of keys/],
  ["a: [", /^f\.yaml:1: /],
  ["services:\n\t- x", /^f\.yaml:2: Tabs are not allowed/],
  ["metrics: off", /^f\.yaml:1: services is missing/],
  ["services: []", /^f\.yaml:1: services: must be a map/],
  ['store: ""\nservices: {}', /^f\.yaml:1: store: requires the path of a new socket$/],
  ["metrics: x\nservices: {}", /^f\.yaml:1: metrics: 'x' is not an address: write PORT/],
  [
    "metrics: off\nmetric: 9\nservices: {}",
    /^f\.yaml:2: metric: is not a key: did you mean 'metrics'\?$/,
  ],
  ["keep: 1\nservices: {}", /^f\.yaml:1: keep: must be true or false$/],
  ["services:\n  web:\n", /^f\.yaml:2: services\.web: must be a map/],
  ["services:\n  web: {}", /^f\.yaml:2: services\.web: listen is missing/],
  [
    "services:\n  web: {listen: [':1', 'x']}",
    /^f\.yaml:2: services\.web\.listen: 'x' is not a SPEC/,
  ],
  [
    "services:\n  web:\n    listen:\n    - :1\n    - :1",
    /^f\.yaml:5: services\.web\.listen: :1 is given twice$/,
  ],
  [`services:\n  ${"w".repeat(64)}: {listen: ":1"}`, /at most 63 bytes/],
  [
    "services:\n  a: {listen: ':1'}\n  a: {listen: ':2'}",
    /^f\.yaml:3: services\.a: is given twice, first in line 2$/,
  ],
  [
    web("migrte: any"),
    /^f\.yaml:4: services\.web\.migrte: is not a key: did you mean 'migrate'\?$/,
  ],
  [web("metrics: off"), /^f\.yaml:4: services\.web\.metrics: is not a key/],
  [
    web("hold-max: 3"),
    /^f\.yaml:4: services\.web\.hold-max: is not a key: did you mean 'hold\.max'\?$/,
  ],
  [
    web("route: newst"),
    /^f\.yaml:4: services\.web\.route: must be kernel or newest, not 'newst': did you mean 'newest'\?$/,
  ],
  [web("route: {a: b}"), /^f\.yaml:4: services\.web\.route: must be text$/],
  [web("wait: 'no'"), /^f\.yaml:4: services\.web\.wait: must be true or false$/],
  [web("hold: 10"), /^f\.yaml:4: services\.web\.hold: must be a duration from 100ms to 1h/],
  [web("hold: {max: 5}"), /^f\.yaml:4: services\.web\.hold\.max: requires hold\.time$/],
  [
    web("hold:\n      time: 5s\n      max: 0"),
    /^f\.yaml:6: services\.web\.hold\.max: must be a number from 1/,
  ],
  [
    web("hold: {time: 5s, ready_check: ' '}"),
    /^f\.yaml:4: services\.web\.hold\.ready_check: must be 'tcp' or/,
  ],
  [web("hold: {time: 5s, ready: tcp}"), /^f\.yaml:4: services\.web\.hold\.ready: is not a key/],
  [
    web("hold: 5s\n    migrate: off"),
    /^f\.yaml:4: services\.web\.hold: cannot be combined with migrate off: /,
  ],
  [web("adopt: true"), /^f\.yaml:4: services\.web\.adopt: requires cgroup PATH or unit NAME$/],
  [
    web("adopt: {max: x}\n    cgroup: /a"),
    /^f\.yaml:4: services\.web\.adopt\.max: must be a number/,
  ],
  [web("cgroup: a"), /^f\.yaml:4: services\.web\.cgroup: 'a' is not a cgroup/],
  [
    web("cgroup: /a\n    unit: b"),
    /^f\.yaml:5: services\.web\.unit: cannot be combined with cgroup$/,
  ],
  [web("unit: b.socket"), /^f\.yaml:4: services\.web\.unit: unit b\.socket: not a service/],
  [web("pid: x"), /^f\.yaml:4: services\.web\.pid: must be a number/],
  [
    web("netns: web"),
    /^f\.yaml:4: services\.web\.netns: 'web' is not a namespace: write 'own', 'all'/,
  ],
  [web("netns: 0"), /^f\.yaml:4: services\.web\.netns: must be a number/],
  [
    "services:\n  a: {listen: ':1'}\n  b:\n    cgroup: /x\n    listen: 127.0.0.1:1",
    /^f\.yaml:5: services\.b\.listen: 127\.0\.0\.1:1 never reaches this service: 'a', before it/,
  ],
  [
    "services:\n  a: {listen: ':1', netns: /n}\n  b: {listen: ':1', netns: /n}",
    /^f\.yaml:3: services\.b\.listen: :1 never reaches/,
  ],
  [
    "services:\n  a: {listen: ':*'}\n  b: {listen: ':1'}",
    /^f\.yaml:3: services\.b\.listen: :1 never reaches/,
  ],
  [
    "services:\n  a: {listen: ':*', except: ':1,x'}",
    /^f\.yaml:2: services\.a\.except: 'x' is not a SPEC/,
  ],
  // Found by `make fuzz`.
  ["- ".repeat(4_000), /^f\.yaml:1: is nested too deeply$/],
  [`services: {}\n${"? ".repeat(16)}`, /^f\.yaml:2: has a key that is not text$/],
  ['services: {"a\\nb\\e[2J": {listen: ":1"}}', /^f\.yaml:1: services\.a\\x0ab\\x1b\[2J: /],
];

for (const [text, says] of WRONG) {
  test(`${JSON.stringify(text).slice(0, 99)} is one mistake, with its path and line`, () => {
    const found = problems(text);
    assert.equal(found.length, 1, found.join("\n"));
    assert.match(found[0] ?? "", says);
  });
}

test("all mistakes are said at once, in the order of their lines", () => {
  const text = "services:\n  b: {listen: x, rout: y}\n  a: {listen: ':1', pid: z}\nkeep: no\n";
  const lines = problems(text).map((problem) => problem.split(":").slice(0, 3).join(":"));
  assert.deepEqual(lines, [
    "f.yaml:2: services.b.listen",
    "f.yaml:2: services.b.rout",
    "f.yaml:3: services.a.pid",
    "f.yaml:4: keep",
  ]);
});
