/** SPECs and addresses: what is parsed is canonical, and what is not is one sentence. */
import assert from "node:assert/strict";
import { isIPv4, isIPv6 } from "node:net";
import { addressBytes, familyOf, formatAddress } from "../../loader/core/address.ts";
import { matchesSpec, parseSpec } from "../../loader/core/spec.ts";
import { UsageError } from "../../loader/errors.ts";
import type { Random } from "../helpers/random.ts";
import { fuzz } from "./fuzz.ts";
import { mutateText } from "./mutate.ts";

const TOKENS = ["::", ":", "[", "]", ".", "0", "00", "ffff", "%eth0", "1.2.3.4", "::ffff:", "0x7f"];

const port = (random: Random) =>
  random.oneIn(4)
    ? random.pick(["0443", "+1", "1e3", "0", "65535", "65536", `${random.number()}`])
    : `${1 + random.below(65_535)}`;

const ipv4 = (random: Random) =>
  Array.from({ length: random.pick([4, 4, 4, 3, 5]) }, () => random.pick([0, 1, 127, 255, 256, 8]))
    .map((part) => (random.oneIn(12) ? `0${part}` : `${part}`))
    .join(".");

function ipv6(random: Random): string {
  const words = random.list(9, () => random.pick(["0", "1", "ffff", "0db8", "2001", "g", "F"]));
  if (random.oneIn(5)) words.push(ipv4(random));
  if (!random.oneIn(4)) words.splice(random.below(words.length + 1), 0, "");
  return words.join(":");
}

function spec(random: Random): string {
  const address = random.pick([
    () => "",
    () => ipv4(random),
    () => `[${ipv6(random)}]`,
    () => `[${formatAddress("ipv6", random.bytes(16))}]`,
    () => random.pick(["localhost", `[${ipv6(random)}%lo]`, "[::1%1]", "[fe80::1%eth0]"]),
    () => ipv6(random),
  ])();
  const text = `${address}:${port(random)}`;
  return random.oneIn(2) ? text : mutateText(random, text, TOKENS);
}

fuzz("SPEC", {
  make: spec,
  outcomes: ["parsed", "refused"],
  check(text) {
    let parsed: ReturnType<typeof parseSpec>;
    try {
      parsed = parseSpec(text);
    } catch (error) {
      assert.ok(error instanceof UsageError, `not a UsageError: ${error}`);
      assert.ok(error.message.includes("is not a SPEC: "), error.message);
      return "refused";
    }
    assert.deepEqual(parseSpec(parsed.text), parsed, "its canonical text says something else");
    const { family, address, port } = parsed;
    if (port === null) {
      assert.equal(parsed.text, ":*");
      return "parsed";
    }
    assert.ok(Number.isInteger(port) && port >= 1 && port <= 65535);
    if (family === null || address === null) {
      assert.deepEqual([family, address], [null, null]);
      return "parsed";
    }
    assert.ok(family === "ipv4" ? isIPv4(address) : isIPv6(address), address);
    assert.equal(formatAddress(family, addressBytes(family, address)), address);
    assert.ok(matchesSpec(parsed, { family, address, port }));
    return "parsed";
  },
});

fuzz("address", {
  make: (random) => mutateText(random, random.oneIn(2) ? ipv6(random) : ipv4(random), TOKENS, 2),
  outcomes: ["ipv4", "ipv6", "none"],
  check(text) {
    const family = familyOf(text);
    if (family === null) return "none";
    const bytes = addressBytes(family, text);
    assert.equal(bytes.length, 16);
    assert.deepEqual(addressBytes(family, formatAddress(family, bytes)), bytes);
    return family;
  },
});
