/** Config files: what is right reads back the same, and means what the command line does. */
import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { describe, test } from "node:test";
import { SERVICE_KEYS } from "../../cli/config/keys.ts";
import { printed } from "../../cli/config/print.ts";
import { type Config, parseConfig } from "../../cli/config/schema.ts";
import { main } from "../../cli/main.ts";
import { fileKeyOf, HOST_KEYS } from "../../cli/options/host.ts";
import { suggestion } from "../../cli/options/suggest.ts";
import { Journal } from "../../loader/log.ts";
import { Service, type ServiceOptions } from "../../loader/service/service.ts";
import { diffServices } from "../../loader/service/service_diff.ts";
import { TempDir } from "../helpers/host/child.ts";

const parse = (text: string): Config => parseConfig("f.yaml", text);
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

for (const json of [false, true]) {
  test(`services keep their order and their names in ${json ? "JSON" : "YAML"}`, () => {
    const listen = (port: number) => `{listen: ":${port}"}`;
    const names = ["web", "80", "__proto__", "7"];
    const text = `services:\n${names.map((it, i) => `  ${it}: ${listen(i + 1)}\n`).join("")}`;
    const { host, services } = parse(text);
    const again = parse(printed(host, services, json));
    assert.deepEqual(
      again.services.map(({ name }) => name),
      names,
    );
  });
}

test("2,000 aliases are read in the time of 2,000 services", () => {
  const lines = Array.from({ length: 2_000 }, (_, i) => `  s${i}: {listen: ":${i + 1}", hold: *h}`);
  const text = `services:\n  a: {listen: ":9999", hold: &h 5s}\n${lines.join("\n")}\n`;
  const times = [text.replaceAll("*h", "5s"), text].map((each) => {
    const { user } = process.cpuUsage();
    assert.equal(parse(each).services.at(-1)?.options.hold?.timeMs, 5_000);
    return process.cpuUsage().user - user;
  });
  const [plain = 0, aliases = 0] = times;
  assert.ok(aliases < 5 * plain, `${aliases} us, not ${plain} us`);
});

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
  test("what YAML 1.1 would read as a boolean is quoted, for Ansible and PyYAML", async () => {
    const { stdout } = await run("attach", ":80", "--metrics", "off", "--print-config");
    assert.match(stdout, /^metrics: "off"$/m);
    assert.match(stdout, /^keep: false$/m);
  });

  test("every line of a file's mistakes says whose it is, and no help is offered", async () => {
    using dir = new TempDir();
    const file = dir.file("bad.yaml");
    writeFileSync(file, "services:\n  web: {listen: x, route: y}\n");
    const { code, stderr } = await run("attach", "--config", file);
    assert.equal(code, 2);
    const lines = stderr.trimEnd().split("\n");
    assert.equal(lines.length, 2, stderr);
    for (const line of lines) assert.ok(line.startsWith(`reuseport-migrate: ${file}:2: `), line);
  });

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
    assert.match(over.stdout, /^metrics: "off"$/m);
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
  for (const key of [...SERVICE_KEYS, ...HOST_KEYS.map(fileKeyOf)]) {
    const [head = "", sub = head] = key.split(".");
    assert.match(docs, new RegExp(`^\\| .*\\b${head}\\b`, "m"), key);
    assert.match(docs, new RegExp(`\\b${sub}\\b`), key);
  }
});

test("a near miss is named, else what there is", () => {
  assert.equal(suggestion("migrte", SERVICE_KEYS), ": did you mean 'migrate'?");
  assert.match(suggestion("color", SERVICE_KEYS), /^: write one of listen, except, pid/);
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
  const { services, retired, report } = diffServices(before, wanted, make);
  assert.deepEqual(report, { added: ["d"], changed: ["a"], removed: ["c"], unchanged: ["b"] });
  assert.equal(services[0], before[1]);
  assert.deepEqual(retired, [before[0], before[2]]);
});

test("a store is the process's: read from a file, and printed as it was said", () => {
  const text = 'store: /run/fds.sock\nservices:\n  web:\n    listen: ":1"\n';
  assert.equal(parse(text).host.store, "/run/fds.sock");
  assert.match(printed(parse(text).host, [], false), /^store: \/run\/fds\.sock$/m);
  assert.doesNotMatch(printed({}, [], false), /store/);
});
