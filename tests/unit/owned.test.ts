/** Owned: what a function opened is closed if it fails. */
import assert from "node:assert/strict";
import { closeSync, fstatSync, openSync } from "node:fs";
import { describe, test } from "node:test";
import { Owned, requireFreeFds } from "../../loader/owned.ts";
import { allOrNothing } from "../../loader/rollback.ts";

/** Records, by name, what is closed. */
function recorder() {
  const closed: string[] = [];
  const thing = (name: string): Disposable => ({
    [Symbol.dispose]: () => {
      closed.push(name);
    },
  });
  return { closed, thing };
}

const fails = () => {
  throw new Error("a step");
};

describe("Owned", () => {
  test("closes everything, last first, if the function fails", () => {
    const { closed, thing } = recorder();
    const work = () => {
      using own = new Owned();
      own.use(thing("first"));
      own.defer(() => closed.push("second"));
      throw new TypeError("the work");
    };
    assert.throws(work, TypeError);
    assert.deepEqual(closed, ["second", "first"]);
  });

  test("an error while it closes hides neither the function's nor the other steps", () => {
    const { closed, thing } = recorder();
    const work = () => {
      using own = new Owned();
      own.use(thing("first"));
      own.defer(fails);
      throw new TypeError("the work");
    };
    assert.throws(work, TypeError);
    assert.deepEqual(closed, ["first"]);
  });

  test("closes nothing that the function hands over", () => {
    const { closed, thing } = recorder();
    const work = () => {
      using own = new Owned();
      return own.release(own.use(thing("first")));
    };
    work()[Symbol.dispose]();
    assert.deepEqual(closed, ["first"]);
  });

  test("moves to an owner that closes it once, and says what failed", () => {
    const { closed, thing } = recorder();
    const work = () => {
      using own = new Owned();
      own.use(thing("first"));
      own.defer(fails);
      return own.move();
    };
    const moved = work();
    assert.deepEqual(closed, []);
    assert.throws(() => moved[Symbol.dispose](), /a step/);
    assert.deepEqual(closed, ["first"]);
    moved[Symbol.dispose]();
    assert.deepEqual(closed, ["first"]);
  });

  test("owns file descriptors", () => {
    const open = () => openSync("/dev/null", "r");
    let fds: number[] = [];
    {
      using own = new Owned();
      fds = [own.fd(open()), ...own.fds([open(), open()])];
    }
    for (const fd of fds) assert.throws(() => fstatSync(fd), /EBADF/);
  });

  test("requireFreeFds leaves none open", () => {
    const fd = openSync("/dev/null", "r");
    closeSync(fd);
    requireFreeFds(4);
    const again = openSync("/dev/null", "r");
    closeSync(again);
    assert.equal(again, fd);
  });
});

test("allOrNothing undoes only what failed", () => {
  const { closed } = recorder();
  const work = (name: string, last: () => void) =>
    allOrNothing((undo) => {
      undo(() => closed.push(name));
      last();
      return name;
    });
  assert.equal(
    work("kept", () => {}),
    "kept",
  );
  assert.throws(() => work("undone", fails), /a step/);
  assert.deepEqual(closed, ["undone"]);
});
