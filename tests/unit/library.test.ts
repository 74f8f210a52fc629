/** The library's options: those of the command line, with its rules. */
import assert from "node:assert/strict";
import { test } from "node:test";
import * as library from "reuseport-migrate";
import { OPTION_NAMES, serviceOf } from "../../cli/options/service.ts";
import { type AttachOptions, sidecarOptions } from "../../library/options.ts";
import { parseSpec } from "../../loader/core/spec.ts";
import * as errors from "../../loader/errors.ts";

const HOLD = {
  except: [":22", ":6443"],
  hold: "1.5s",
  holdMax: 10,
  readyCheck: "tcp",
  wait: true,
  maxGroups: 5,
} as const;

test("options are those of the command line", () => {
  const values = {
    except: ":22,:6443",
    hold: "1.5s",
    "hold-max": "10",
    "ready-check": "tcp",
    wait: true,
  };
  const expected = serviceOf(values, [parseSpec(":80")], {
    mayAppear: true,
    nameOf: (name) => name,
    check: (_, read) => read(""),
  });
  assert.deepEqual(sidecarOptions(":80", HOLD), { ...expected, maxGroups: 5 });
});

test("every option of a service on the command line is one of the library", () => {
  for (const name of OPTION_NAMES) {
    const camel = name.replace(/-(\w)/g, (_, letter: string) => letter.toUpperCase());
    const wrong = { [camel]: Symbol() } as unknown as AttachOptions;
    assert.throws(() => sidecarOptions(":80", wrong), new RegExp(`^UsageError: ${camel} must be`));
  }
});

const mistakes: readonly [options: object, message: string][] = [
  [{ holdd: "10s" }, "'holdd' is not an option: did you mean 'hold'?"],
  [{ metrics: "off" }, "'metrics' is not an option: write one of "],
  [{ hold: 10 }, "hold must be a duration from 100ms to 1h, such as 300ms, 10s or 2m, not '10'"],
  [{ holdMax: 5 }, "holdMax requires hold"],
  [{ migrate: "newst" }, "migrate must be newest or any or off or observe, not 'newst'"],
  [{ wait: "yes" }, 'wait must be true or false, not "yes"'],
  [{ adopt: true }, "adopt requires cgroup PATH or unit NAME"],
  [{ maxGroups: 0 }, "maxGroups must be a number from 1 to 100000, not '0'"],
];

for (const [options, message] of mistakes) {
  test(`refused: ${JSON.stringify(options)}`, async () => {
    await assert.rejects(library.attach(":80", options), (error: Error) => {
      assert.ok(error instanceof library.UsageError);
      assert.equal(error.message.slice(0, message.length), message);
      return true;
    });
  });
}

test("a SPEC that is missing or wrong is refused", async () => {
  await assert.rejects(library.attach([]), /^UsageError: attach requires a SPEC/);
  const absent = undefined as unknown as string;
  await assert.rejects(library.attach(absent), /^UsageError: attach requires a SPEC/);
  await assert.rejects(library.attach("web:80"), /'web:80' is not a SPEC/);
  const misspelled = { spec: ":80" } as library.StatusOptions;
  await assert.rejects(library.status(misspelled), /'spec' is not an option: write specs or bpffs/);
});

test("every error class that attach() can throw is exported", () => {
  const classes = Object.keys(errors).filter((name) => name.endsWith("Error"));
  const missing = classes.filter((name) => !(name in library));
  assert.deepEqual(missing.sort(), ["StoreGoneError", "StoreRefusedError"]);
});
