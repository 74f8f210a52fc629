/** Config files: what is wrong is said with its path and line, all at once; what is right reads back the same. */
import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { describe, test } from "node:test";
import { ConfigError } from "../../cli/config/document.ts";
import { SERVICE_KEYS } from "../../cli/config/keys.ts";
import { printed } from "../../cli/config/print.ts";
import { type Config, parseConfig } from "../../cli/config/schema.ts";
import { hostOptions } from "../../cli/host.ts";
import { main } from "../../cli/main.ts";
import { suggestion } from "../../cli/suggest.ts";
import * as loader from "../../loader/index.ts";
import { Journal } from "../../loader/log.ts";
import { succession } from "../../loader/reload.ts";
import { Service, type ServiceOptions } from "../../loader/service.ts";
import { TempDir } from "../helpers/child.ts";

const parse = (text: string): Config => parseConfig("f.yaml", text, loader);
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

test("a store is the process's: read from a file, and printed as it was said", () => {
  const { host } = parse(`store: /run/fds.sock\n${web("wait: true")}`);
  assert.equal(host.store, "/run/fds.sock");
  assert.match(printed(host, [], false), /^store: \/run\/fds\.sock$/m);
  assert.doesNotMatch(printed({}, [], false), /store/);
});

const WRONG: [text: string, says: RegExp][] = [
  ["", /^f\.yaml:1: must be a map of keys/],
  ["a: [", /^f\.yaml:1: /],
  ["services:\n\t- x", /^f\.yaml:2: Tabs are not allowed/],
  ["metrics: off", /^f\.yaml:1: services is missing/],
  ["services: []", /^f\.yaml:1: services: must be a map/],
  ['store: ""\nservices: {}', /^f\.yaml:1: store: '': write the path of a socket to make/],
  ["metrics: x\nservices: {}", /^f\.yaml:1: metrics: 'x': write PORT/],
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
  [web("hold: {max: 5}"), /^f\.yaml:4: services\.web\.hold\.max: wants hold\.time$/],
  [
    web("hold:\n      time: 5s\n      max: 0"),
    /^f\.yaml:6: services\.web\.hold\.max: must be a number from 1/,
  ],
  [
    web("hold: {time: 5s, ready_check: ' '}"),
    /^f\.yaml:4: services\.web\.hold\.ready_check: wants 'tcp'/,
  ],
  [web("hold: {time: 5s, ready: tcp}"), /^f\.yaml:4: services\.web\.hold\.ready: is not a key/],
  [
    web("hold: 5s\n    migrate: off"),
    /^f\.yaml:4: services\.web\.hold: migrate off and hold\.time exclude each other/,
  ],
  [
    web("adopt: true"),
    /^f\.yaml:4: services\.web\.adopt: wants to know whose binds: cgroup PATH or unit NAME$/,
  ],
  [
    web("adopt: {max: x}\n    cgroup: /a"),
    /^f\.yaml:4: services\.web\.adopt\.max: must be a number/,
  ],
  [web("cgroup: a"), /^f\.yaml:4: services\.web\.cgroup: 'a' is not a cgroup/],
  [
    web("cgroup: /a\n    unit: b"),
    /^f\.yaml:5: services\.web\.unit: cgroup and unit exclude each other$/,
  ],
  [web("unit: b.socket"), /^f\.yaml:4: services\.web\.unit: b\.socket: it is no service/],
  [web("pid: x"), /^f\.yaml:4: services\.web\.pid: must be a number/],
  [web("netns: web"), /^f\.yaml:4: services\.web\.netns: 'web': write 'all'/],
  [web("netns: 0"), /^f\.yaml:4: services\.web\.netns: must be a number/],
  [
    "services:\n  a: {listen: ':1'}\n  b:\n    cgroup: /x\n    listen: 127.0.0.1:1",
    /^f\.yaml:5: services\.b\.listen: 127\.0\.0\.1:1 never reaches this service: 'a', before it/,
  ],
  [
    "services:\n  a: {listen: ':1', netns: /n}\n  b: {listen: ':1', netns: /n}",
    /^f\.yaml:3: services\.b\.listen: :1 never reaches/,
  ],
];

for (const [text, says] of WRONG) {
  test(`${JSON.stringify(text)} is one mistake, with its path and line`, () => {
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

const FULL = `
metrics: 0.0.0.0:9200
keep: true
services:
  web:
    listen: [":443", "[::]:80"]
    netns: /run/netns/web
    migrate: any
    hold: {time: 10s, max: 100, ready_check: tcp}
  api:
    listen: ":443"
    cgroup: /api
    adopt: {max: 3}
    route: newest
    hold: 1500ms
    wait: false
    replace: true
  rest: {listen: ":443", netns: 1}
`;

test("what a file says is what the command line would", () => {
  const { services, host } = parse(FULL);
  assert.deepEqual(host, { metrics: "0.0.0.0:9200", keep: true });
  const [web, api, rest] = services.map(({ options }) => options);
  assert.deepEqual(web?.hold, { timeMs: 10_000, max: 100 });
  assert.equal(web?.readyCheck, "tcp");
  assert.deepEqual([web?.netns, web?.migrate, web?.wait], ["/run/netns/web", "any", true]);
  assert.deepEqual(api?.adopt, { cgroup: "/api", max: 3 });
  assert.deepEqual([api?.wait, api?.replace, api?.hold?.timeMs], [false, true, 1500]);
  assert.deepEqual([rest?.name, rest?.netns, rest?.hold], ["rest", 1, undefined]);
});

for (const json of [false, true]) {
  test(`what is printed as ${json ? "JSON" : "YAML"} says the same`, () => {
    const { host, services } = parse(FULL);
    const again = parse(printed(host, services, json));
    assert.deepEqual(
      again.services.map(({ options }) => options),
      services.map(({ options }) => options),
    );
    assert.equal(printed(again.host, again.services, json), printed(host, services, json));
  });
}

async function run(...argv: string[]) {
  const out = { stdout: "", stderr: "" };
  const env = {
    stdout: { write: (text: string) => (out.stdout += text) },
    stderr: { write: (text: string) => (out.stderr += text) },
    vars: {},
    terminal: false,
    stop: new AbortController().signal,
    unread: new AbortController().signal,
    onSignals: () => () => {},
  };
  return { code: await main(env, argv), ...out };
}

describe("the command line", () => {
  test("--print-config prints it as a file that reads back", async () => {
    const { code, stdout } = await run("attach", ":80", ":443", "--hold", "5s", "--print-config");
    assert.equal(code, 0);
    const { services } = parse(stdout);
    assert.deepEqual(
      services.map(({ name }) => name),
      [":80", ":443"],
    );
    assert.deepEqual(services[1]?.options.hold, { timeMs: 5000, max: 4096 });
    assert.equal(services[1]?.options.wait, false);
  });

  test("--config: overrides, and what it excludes", async () => {
    using dir = new TempDir();
    const file = dir.file("config");
    writeFileSync(file, FULL);
    const over = await run("attach", "--config", file, "--metrics", "off", "--print-config");
    assert.match(over.stdout, /^metrics: off$/m);
    for (const [argv, says] of [
      [[":80"], /--config and SPECs exclude each other/],
      [["--route", "newest"], /--config and --route exclude each other/],
      [["--once"], /--once and services\.web\.hold exclude each other/],
    ] as const) {
      const { code, stderr } = await run("attach", "--config", file, ...argv);
      assert.equal(code, 2);
      assert.match(stderr, says);
    }
    writeFileSync(file, "services: {web: {listen: x}, b: {}}");
    const { code, stderr } = await run("attach", "--config", file);
    assert.equal(code, 2);
    assert.match(
      stderr,
      /config:1: services\.web\.listen: 'x' is not a SPEC.*\n.*config:1: services\.b: /,
    );
    assert.match((await run("attach", "--config", `${file}x`)).stderr, /cannot be read: ENOENT/);
  });
});

test("the example is one", () => {
  const file = new URL("../../../deploy/reuseport-migrate.yaml", import.meta.url);
  const { services } = parse(readFileSync(file, "utf8"));
  assert.ok(services.length >= 3);
});

test("docs/CONFIG.md names every key", () => {
  const docs = readFileSync(new URL("../../../docs/CONFIG.md", import.meta.url), "utf8");
  for (const key of [...SERVICE_KEYS, ...Object.keys(hostOptions)]) {
    const [head = "", sub = head] = key.split(".");
    assert.match(docs, new RegExp(`^\\| .*\\b${head}\\b`, "m"), key);
    assert.match(docs, new RegExp(`\\b${sub}\\b`), key);
  }
});

test("a near miss is named, else what there is", () => {
  assert.equal(suggestion("migrte", SERVICE_KEYS), ": did you mean 'migrate'?");
  assert.match(suggestion("color", SERVICE_KEYS), /^: there are listen, pid/);
});

test("a reload keeps what is the same, whatever its place", () => {
  const make = (options: ServiceOptions) => new Service(options, new Journal(() => {}), () => {});
  const options = (text: string) => parse(text).services.map((service) => service.options);
  const before = options("services: {a: {listen: ':1'}, b: {listen: ':2'}, c: {listen: ':3'}}").map(
    make,
  );
  const wanted = options(
    "services: {b: {listen: ':2'}, a: {listen: ':1', route: newest}, d: {listen: ':4'}}",
  );
  const { services, retired, report } = succession(before, wanted, make);
  assert.deepEqual(report, { added: ["d"], changed: ["a"], removed: ["c"], unchanged: ["b"] });
  assert.equal(services[0], before[1]);
  assert.deepEqual(retired, [before[0], before[2]]);
});
