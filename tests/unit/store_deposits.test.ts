/** Deposits: names, holders, takers and timeouts, without sockets or a clock. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { STORE_LIMITS } from "../../loader/index.ts";
import { Deposits } from "../../loader/store/deposits.ts";
import { MAX_FDS } from "../../loader/store/protocol.ts";

const [OLD, NEW, THIRD] = [1, 2, 3];
const put = { name: "web", timeoutMs: null, shared: false, add: false, taken: false };
const take = { name: "web", keep: false, timeoutMs: null };
const keep = { ...take, keep: true };

function deposits(limits = { names: 2, fds: 5 }): Deposits {
  return new Deposits(limits, 100);
}

const refused = (reason: string) => ({ name: "StoreRefusedError", reason });

describe("the timeout", () => {
  test("starts when the last depositor disconnects, to the millisecond", () => {
    const d = deposits();
    d.put(OLD, put, [10], 0);
    assert.equal(d.dueMs, null);
    assert.deepEqual(d.expire(1e9), []);
    d.disconnect(OLD, 1_000);
    assert.equal(d.dueMs, 1_100);
    assert.deepEqual(d.expire(1_099), []);
    const [expired] = d.expire(1_100);
    assert.deepEqual(expired?.fds, [10]);
    assert.equal(d.get("web"), undefined);
  });

  test("of two depositors the last one counts", () => {
    const d = deposits();
    d.put(OLD, put, [10], 0);
    d.put(NEW, { ...put, add: true }, [11], 0);
    assert.deepEqual(d.get("web")?.fds, [10, 11]);
    d.disconnect(OLD, 10);
    assert.equal(d.dueMs, null);
    d.disconnect(NEW, 20);
    assert.equal(d.dueMs, 120);
  });

  test("is the name's own, until a taker sets another", () => {
    const d = deposits();
    d.put(OLD, { ...put, timeoutMs: 7 }, [10], 0);
    d.disconnect(OLD, 0);
    assert.equal(d.dueMs, 7);
    d.take(NEW, { ...keep, timeoutMs: 9 });
    assert.equal(d.dueMs, null);
    d.disconnect(NEW, 50);
    assert.equal(d.dueMs, 59);
  });

  test("the first of several names is due first", () => {
    const d = deposits();
    d.put(OLD, { ...put, timeoutMs: 500 }, [10], 0);
    d.put(OLD, { ...put, name: "admin", timeoutMs: 50 }, [11], 0);
    d.disconnect(OLD, 0);
    assert.equal(d.dueMs, 50);
    assert.deepEqual(
      d.expire(60).map(({ name }) => name),
      ["admin"],
    );
    assert.equal(d.dueMs, 500);
  });
});

describe("taking", () => {
  test("two takers never get the same descriptors", () => {
    const d = deposits();
    d.put(OLD, put, [10, 11], 0);
    assert.deepEqual(d.take(NEW, take).fds, [10, 11]);
    assert.throws(() => d.take(THIRD, take), refused("taken"));
    assert.deepEqual(d.confirm(NEW, "web"), [10, 11]);
    assert.throws(() => d.take(THIRD, take), refused("absent"));
  });

  test("a taker that dies before it confirms gives it back", () => {
    const d = deposits();
    d.put(OLD, put, [10], 0);
    d.disconnect(OLD, 0);
    d.take(NEW, take);
    d.disconnect(NEW, 50);
    assert.equal(d.dueMs, 150);
    assert.deepEqual(d.take(THIRD, take).fds, [10]);
  });

  test("with keep the store keeps the deposit for the next taker", () => {
    const d = deposits();
    d.put(OLD, put, [10], 0);
    d.take(NEW, keep);
    d.disconnect(OLD, 0);
    assert.equal(d.dueMs, null);
    assert.throws(() => d.take(THIRD, keep), refused("taken"));
    d.disconnect(NEW, 5);
    assert.deepEqual(d.take(THIRD, keep).fds, [10]);
  });

  test("a shared deposit is for every taker: none removes it or prolongs its timeout", () => {
    const d = deposits();
    d.put(OLD, { ...put, shared: true }, [10], 0);
    d.disconnect(OLD, 0);
    assert.deepEqual(d.take(NEW, take).fds, [10]);
    assert.deepEqual(d.take(THIRD, take).fds, [10]);
    assert.deepEqual(d.confirm(NEW, "web"), []);
    assert.equal(d.dueMs, 100);
    d.take(NEW, keep);
    d.take(THIRD, keep);
    assert.equal(d.dueMs, null);
    d.disconnect(NEW, 10);
    d.disconnect(THIRD, 20);
    assert.equal(d.dueMs, 120);
  });

  test("a client that has not taken a name cannot confirm it", () => {
    const d = deposits();
    d.put(OLD, put, [10], 0);
    assert.throws(() => d.confirm(NEW, "web"), refused("absent"));
    assert.deepEqual(d.get("web")?.fds, [10]);
  });
});

describe("putting", () => {
  test("replaces a name that no other client holds, and returns its descriptors", () => {
    const d = deposits();
    assert.deepEqual(d.put(OLD, put, [10], 0).replaced, []);
    assert.deepEqual(d.put(OLD, put, [11], 0).replaced, [10]);
    d.disconnect(OLD, 0);
    assert.deepEqual(d.put(NEW, put, [12], 0).replaced, [11]);
  });

  test("does not replace a name that another client holds or has taken", () => {
    const d = deposits();
    d.put(OLD, put, [10], 0);
    assert.throws(() => d.put(NEW, put, [11], 0), refused("held"));
    d.take(THIRD, keep);
    d.disconnect(OLD, 0);
    assert.throws(() => d.put(NEW, put, [11], 0), refused("held"));
    assert.deepEqual(d.get("web")?.fds, [10]);
  });

  test("as taken excludes other takers while the depositor runs", () => {
    const d = deposits();
    d.put(OLD, { ...put, taken: true }, [10], 0);
    assert.throws(() => d.take(NEW, keep), refused("taken"));
    assert.throws(() => d.put(NEW, { ...put, add: true, taken: true }, [11], 0), refused("taken"));
    d.disconnect(OLD, 0);
    assert.deepEqual(d.take(NEW, keep).fds, [10]);
  });

  test("adding to a name that is not shared as shared is refused", () => {
    const d = deposits();
    d.put(OLD, put, [10], 0);
    assert.throws(() => d.put(NEW, { ...put, add: true, shared: true }, [11], 0), refused("held"));
  });

  test("beyond the limits is refused, and changes nothing", () => {
    const d = deposits();
    d.put(OLD, put, [1, 2, 3], 0);
    assert.throws(() => d.put(OLD, { ...put, name: "b" }, [4, 5, 6], 0), refused("fds"));
    d.put(OLD, { ...put, name: "b" }, [4, 5], 0);
    assert.throws(() => d.put(OLD, { ...put, name: "c" }, [6], 0), refused("names"));
    assert.throws(() => d.put(OLD, { ...put, add: true }, [6], 0), refused("fds"));
    d.put(OLD, put, [7, 8, 9], 0); // replacing needs no more room
    assert.deepEqual(
      d.all.map(({ fds }) => fds),
      [
        [7, 8, 9],
        [4, 5],
      ],
    );
  });

  test("a name holds no more than one message can carry", () => {
    const d = deposits(STORE_LIMITS);
    d.put(OLD, put, new Array(MAX_FDS).fill(9), 0);
    assert.throws(() => d.put(OLD, { ...put, add: true }, [9], 0), refused("fds"));
  });
});

test("a name is dropped in spite of its holders", () => {
  const d = deposits();
  d.put(OLD, put, [10], 0);
  d.take(NEW, keep);
  assert.deepEqual(d.drop("web"), [10]);
  assert.throws(() => d.drop("web"), refused("absent"));
  assert.equal(d.isHolder(NEW), false);
  d.disconnect(OLD, 0);
  assert.equal(d.dueMs, null);
});

test("the timeout of a restored deposit starts at once", () => {
  const d = deposits();
  d.restore({ name: "web", fds: [3, 4], shared: false, timeoutMs: 30 }, 1_000);
  assert.equal(d.dueMs, 1_030);
  assert.deepEqual(d.take(NEW, keep).fds, [3, 4]);
});
