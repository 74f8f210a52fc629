/** Passwords of /metrics: how often they are checked, how many at a time, and where. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { setImmediate as turn } from "node:timers/promises";
import { hashSync } from "bcryptjs";
import { BasicAuth, type Checker } from "../../cli/metrics/basic_auth.ts";
import { PasswordChecker } from "../../cli/metrics/password_checker.ts";

const basic = (text: string) => `Basic ${Buffer.from(text).toString("base64")}`;
const USERS = new Map([["prom", "hash of secret"]]);

const checking = (compare: Checker["compare"]): Checker => ({ compare, close: () => {} });

/** An authentication whose checks wait until they are answered, and the passwords they are for. */
function asking() {
  const asked: string[] = [];
  const waiting: (() => void)[] = [];
  const auth = new BasicAuth(
    USERS,
    checking(async (password, hash) => {
      asked.push(password);
      await new Promise<void>((resolve) => waiting.push(resolve));
      return hash === `hash of ${password}`;
    }),
  );
  const answer = () => {
    for (const each of waiting.splice(0)) each();
  };
  return { auth, asked, answer };
}

test("what is no Basic authentication is refused without a check", async () => {
  const { auth, asked } = asking();
  for (const header of [undefined, "", "Bearer x", "Basic", "Basic %", basic("no colon")]) {
    assert.equal(await auth.verdict(header), "refused", header);
  }
  assert.deepEqual(asked, []);
});

test("a right password is checked once; a colon may be part of it", async () => {
  const asked: string[] = [];
  const auth = new BasicAuth(
    new Map([["prom", "hash of a:b"]]),
    checking(async (password, hash) => {
      asked.push(password);
      return hash === `hash of ${password}`;
    }),
  );
  for (let i = 0; i < 5; i++) assert.equal(await auth.verdict(basic("prom:a:b")), "allowed");
  assert.deepEqual(asked, ["a:b"]);
});

test("a wrong one is checked each time; several at once share one check", async () => {
  const { auth, asked, answer } = asking();
  const header = basic("prom:wrong");
  const both = [auth.verdict(header), auth.verdict(header)];
  answer();
  assert.deepEqual(await Promise.all(both), ["refused", "refused"]);
  const again = auth.verdict(header);
  answer();
  assert.equal(await again, "refused");
  assert.deepEqual(asked, ["wrong", "wrong"]);
});

test("an unknown user is checked as long as a known one, and refused with any password", async () => {
  const { auth, asked, answer } = asking();
  const verdict = auth.verdict(basic("root:secret"));
  answer();
  assert.equal(await verdict, "refused");
  assert.deepEqual(asked, ["secret"]);
});

test("eight wrong passwords wait, a ninth is turned away, and known ones are let in", async () => {
  const { auth, asked, answer } = asking();
  const first = auth.verdict(basic("prom:secret"));
  answer();
  assert.equal(await first, "allowed");
  const flood = Array.from({ length: 9 }, (_, i) => auth.verdict(basic(`prom:${i}`)));
  assert.equal(await flood[8], "busy");
  assert.equal(await auth.verdict(basic("prom:secret")), "allowed");
  answer();
  await Promise.all(flood);
  assert.equal(asked.length, 9);
});

test("a check that fails is not a wrong password", async () => {
  const auth = new BasicAuth(
    USERS,
    checking(() => Promise.reject(new Error("no thread"))),
  );
  assert.equal(await auth.verdict(basic("prom:secret")), "busy");
});

test("bcrypt runs beside the event loop, which turns meanwhile", async () => {
  const checker = new PasswordChecker();
  try {
    const hash = hashSync("secret", 4);
    assert.equal(await checker.compare("secret", hash), true);
    let isDone = false;
    // 64 times as long as the one above.
    const slow = checker.compare("wrong", hashSync("secret", 10)).finally(() => {
      isDone = true;
    });
    let turns = 0;
    for (; !isDone; turns++) await turn();
    assert.equal(await slow, false);
    assert.ok(turns > 10, `${turns} turns`);
  } finally {
    checker.close();
  }
});

test("a thread that ends fails its checks, and the next one has another thread", async () => {
  const checker = new PasswordChecker();
  const hash = hashSync("secret", 4);
  const cut = checker.compare("secret", hash);
  checker.close();
  await assert.rejects(cut, /closed/);
  assert.equal(await checker.compare("secret", hash), true);
  checker.close();
});
