/** Colour: on a terminal only, and never against NO_COLOR. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { stripVTControlCharacters } from "node:util";
import { checkText } from "../../cli/output/check_text.ts";
import { painter } from "../../cli/output/colour.ts";
import { statusText } from "../../cli/output/status_text.ts";
import { no, ok } from "../../loader/check/probe.ts";
import { SAMPLE } from "../helpers/product/status_sample.ts";

/** Control sequences, visible. */
const visible = (painted: string) => painted.replaceAll("\x1b", "^");
const TTY = { isTTY: true };
const text = statusText(SAMPLE, { width: 80 });

test("a pipe, NO_COLOR and a dumb terminal get plain text", () => {
  assert.equal(painter("status", {}, {})(text), text);
  assert.equal(painter("status", TTY, { NO_COLOR: "1" })(text), text);
  assert.equal(painter("status", TTY, { TERM: "dumb" })(text), text);
  // An empty NO_COLOR does not count (https://no-color.org).
  assert.notEqual(painter("status", TTY, { NO_COLOR: "" })(text), text);
});

test("colour adds no character that is seen, and stands where attention is due", () => {
  const painted = painter("status", TTY, {})(text);
  assert.equal(stripVTControlCharacters(painted), text);
  assert.match(visible(painted), /\^\[31mno sidecar is running\^\[0m/);
  assert.match(visible(painted), /\^\[33m {2}holding 7\.2s left/);
  const result = (found: ReturnType<typeof ok>) => ({
    ...{ name: "x", use: "", required: true },
    ...found,
  });
  const check = (found: ReturnType<typeof ok>) => {
    const report = { verdict: "fit" as const, host: [result(found)], groups: [], defects: [] };
    return visible(painter("check", TTY, {})(checkText(report, { verbose: true, width: 80 })));
  };
  assert.match(check(no("y")), /host: \^\[31mnot fit\^\[0m[\s\S]*\^\[31m {2}no \^\[0m/);
  assert.match(check(ok("y")), /host: \^\[32mfit\^\[0m \(1 of 1[\s\S]*\^\[32m {2}ok \^\[0m/);
});

test("an error and help are painted, their words unchanged", () => {
  const error = "reuseport-migrate: a SPEC is missing\n";
  const painted = painter("error", TTY, {})(error);
  assert.equal(painted, "\x1b[31mreuseport-migrate:\x1b[0m a SPEC is missing\n");
  const help = "Usage: x y\n\nOptions:\n  --a  b: c\n";
  assert.equal(
    painter("help", TTY, {})(help),
    "\x1b[1mUsage:\x1b[0m x y\n\n\x1b[1mOptions:\x1b[0m\n  --a  b: c\n",
  );
});
