/** SPECs: accepted, refused, and matched. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { matchesSpec, parseSpec, portOf, portsOf } from "../../loader/core/spec.ts";
import { UsageError } from "../../loader/errors.ts";

const good: [text: string, canonical: string, family: string | null, address: string | null][] = [
  [":443", ":443", null, null],
  ["443", ":443", null, null],
  ["*:443", ":443", null, null],
  ["0.0.0.0:443", "0.0.0.0:443", "ipv4", "0.0.0.0"],
  ["192.0.2.7:1", "192.0.2.7:1", "ipv4", "192.0.2.7"],
  ["[::]:443", "[::]:443", "ipv6", "::"],
  ["[2001:DB8:0:0::1]:65535", "[2001:db8::1]:65535", "ipv6", "2001:db8::1"],
  ["[::ffff:1.2.3.4]:80", "[::ffff:1.2.3.4]:80", "ipv6", "::ffff:1.2.3.4"],
];

for (const [text, canonical, family, address] of good) {
  test(`${text} is a SPEC`, () => {
    const spec = parseSpec(text);
    assert.deepEqual({ ...spec, port: 0 }, { text: canonical, family, address, port: 0 });
    assert.equal(spec.port, Number(canonical.split(":").at(-1)));
  });
}

const bad: [text: string, says: RegExp][] = [
  ["192.0.2.7:*", /the port must be from 1 to 65535, not '\*'/],
  ["*", /it is not ADDRESS:PORT/],
  ["**:443", /'\*\*' is not an IPv4 address/],
  ["*:", /port must be from 1 to 65535/],
  ["0", /port must be from 1 to 65535, not '0'/],
  ["70000", /not '70000'/],
  ["", /it is not ADDRESS:PORT/],
  [":", /port must be from 1 to 65535/],
  [":0", /port must be from 1 to 65535, not '0'/],
  [":65536", /not '65536'/],
  [":4e2", /not '4e2'/],
  [":-1", /not '-1'/],
  ["::1:443", /in brackets/],
  ["2001:db8::1", /in brackets/],
  ["[::1]", /it is not ADDRESS:PORT/],
  ["[::g]:443", /'::g' is not an IPv6 address/],
  ["[fe80::1%eth0]:443", /is not an IPv6 address/],
  ["1.2.3:443", /'1.2.3' is not an IPv4 address/],
  ["256.0.0.1:443", /is not an IPv4 address/],
  ["localhost:443", /names are not looked up/],
  ["0.0.0.0:443 ", /not '443 '/],
];

for (const [text, says] of bad) {
  test(`'${text}' is refused with what is wrong`, () => {
    assert.throws(
      () => parseSpec(text),
      (error: Error) => error instanceof UsageError && says.test(error.message),
    );
  });
}

test("a SPEC names exactly its address; without one, every address of both families", () => {
  const v4 = { family: "ipv4", address: "127.0.0.1", port: 80 } as const;
  const v6 = { family: "ipv6", address: "::", port: 80 } as const;
  const match = (text: string) => [v4, v6].map((at) => matchesSpec(parseSpec(text), at));
  assert.deepEqual(match(":80"), [true, true]);
  assert.deepEqual(match(":81"), [false, false]);
  assert.deepEqual(match("127.0.0.1:80"), [true, false]);
  assert.deepEqual(match("0.0.0.0:80"), [false, false]);
  assert.deepEqual(match("[::]:80"), [false, true]);
});

test(":* names every port, except those that it is told to leave out", () => {
  const at = (port: number, address = "127.0.0.1") => ({ family: "ipv4", address, port }) as const;
  for (const text of [":*", "*:*"]) {
    assert.deepEqual(parseSpec(text), { text: ":*", family: null, address: null, port: null });
  }
  const except = [parseSpec(":22"), parseSpec("192.0.2.7:80")];
  const spec = { ...parseSpec(":*"), except };
  assert.equal(matchesSpec(parseSpec(":*"), at(22)), true);
  assert.equal(matchesSpec(spec, at(22)), false);
  assert.equal(matchesSpec(spec, at(80)), true);
  assert.equal(matchesSpec(spec, at(80, "192.0.2.7")), false);
  assert.throws(() => portOf(spec), /names no port/);
  assert.deepEqual(portsOf([spec, parseSpec(":80")]), [80]);
});

test("an IPv4 address names an IPv6 socket that is bound to it, and not the reverse", () => {
  const mapped = { family: "ipv6", address: "::ffff:192.0.2.7", port: 80 } as const;
  const v4 = { family: "ipv4", address: "192.0.2.7", port: 80 } as const;
  const match = (text: string) => [mapped, v4].map((at) => matchesSpec(parseSpec(text), at));
  assert.deepEqual(match("192.0.2.7:80"), [true, true]);
  assert.deepEqual(match("[::ffff:192.0.2.7]:80"), [true, false]);
  assert.deepEqual(match("192.0.2.8:80"), [false, false]);
  assert.deepEqual(match("0.0.0.0:80"), [false, false]);
});
