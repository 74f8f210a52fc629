/** Cgroups of systemd services, and cgroups by path. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { UsageError } from "../../loader/errors.ts";
import { cgroupPath, cgroupText, findCgroup2 } from "../../loader/host/cgroup.ts";
import { unitCgroup } from "../../loader/host/systemd_unit.ts";

/** A systemd that knows one unit by these properties. */
const systemd = (properties: Record<string, string>) => (asked: string[]) => (unit: string) => {
  asked.push(unit);
  return new Map(Object.entries(properties));
};

const known: [name: string, properties: Record<string, string>, path: string][] = [
  ["app", { ControlGroup: "/system.slice/app.service" }, "/system.slice/app.service"],
  ["app.service", { ControlGroup: "/x.slice/app.service" }, "/x.slice/app.service"],
  ["app", { ControlGroup: "", Slice: "system.slice" }, "/system.slice/app.service"],
  ["app", { ControlGroup: "", Slice: "-.slice" }, "/app.service"],
  ["app", { Slice: "a-b-c.slice" }, "/a.slice/a-b.slice/a-b-c.slice/app.service"],
  ["node@1", { Slice: "system-node.slice" }, "/system.slice/system-node.slice/node@1.service"],
  ["node.js", { Slice: "system.slice" }, "/system.slice/node.js.service"],
];

for (const [name, properties, path] of known) {
  test(`${name} with ${JSON.stringify(properties)} is ${path}`, () => {
    const asked: string[] = [];
    assert.equal(unitCgroup(name, systemd(properties)(asked)), path);
    assert.deepEqual(asked, [name.endsWith(".service") ? name : `${name}.service`]);
  });
}

const refused: [name: string, why: RegExp][] = [
  ["", /not a valid unit name/],
  ["-H", /not a valid unit name/],
  ["../app", /not a valid unit name/],
  ["app.socket", /not a service/],
  ["app.slice", /not a service/],
  ["app@", /template/],
  ["app@.service", /template/],
];

for (const [name, why] of refused) {
  test(`'${name}' is refused before systemd is asked`, () => {
    const asked: string[] = [];
    const error = (thrown: Error) => thrown instanceof UsageError && why.test(thrown.message);
    assert.throws(() => unitCgroup(name, systemd({})(asked)), error);
    assert.deepEqual(asked, []);
  });
}

test("a unit that systemd does not know is refused", () => {
  assert.throws(
    () => unitCgroup("ap", systemd({ LoadState: "not-found", Slice: "system.slice" })([])),
    /unit ap: systemd knows no ap\.service; see 'systemctl list-units/,
  );
});

const mount = findCgroup2();
test("the mount point of cgroup v2 is the root cgroup", { skip: mount === null }, () => {
  for (const text of ["/", `${mount}`, `${mount}/`]) {
    assert.deepEqual([cgroupPath(text), cgroupText(text)], ["/", "/"], text);
  }
  for (const text of ["", "a"]) {
    assert.throws(() => cgroupPath(text), UsageError);
    assert.throws(() => cgroupText(text), UsageError);
  }
});
