/** The store's wire format: valid and malformed messages. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import {
  decodeReply,
  decodeRequest,
  encode,
  isName,
  type StoreReply,
  type StoreRequest,
} from "../../loader/store/protocol.ts";
import { assemble } from "../../loader/store/systemd_fdstore.ts";

const put: StoreRequest = {
  op: "put",
  name: "web",
  timeoutMs: 5,
  shared: true,
  add: false,
  taken: false,
};

test("a request is encoded as docs/STORE.md shows", () => {
  const text =
    '{"v":1,"op":"put","name":"web","timeoutMs":5,"shared":true,"add":false,"taken":false}';
  assert.equal(encode(put).toString(), text);
  assert.deepEqual(decodeRequest(Buffer.from(text), 1), put);
});

test("a key that is left out has its default", () => {
  const decode = (text: string, fds: number) => decodeRequest(Buffer.from(text), fds);
  const web = { name: "web", timeoutMs: null };
  assert.deepEqual(decode('{"v":1,"op":"put","name":"web"}', 2), {
    op: "put",
    ...web,
    shared: false,
    add: false,
    taken: false,
  });
  assert.deepEqual(decode('{"v":1,"op":"take","name":"web"}', 0), {
    op: "take",
    ...web,
    keep: false,
  });
  assert.deepEqual(decode('{"v":1,"op":"list"}', 0), { op: "list", after: "" });
});

test("replies are decoded to what was encoded", () => {
  const replies: StoreReply[] = [
    { ok: true, fds: 2, shared: false },
    { ok: true, names: [], next: "web" },
    { ok: false, reason: "taken", error: "'web' is taken" },
  ];
  for (const reply of replies) assert.deepEqual(decodeReply(encode(reply)), reply);
  assert.throws(() => decodeReply(Buffer.from('{"v":1,"ok":true}')), /not a reply/);
});

describe("malformed", () => {
  const cases: [what: string, text: string | Buffer, fds: number, says: RegExp][] = [
    ["text", "put web", 1, /not JSON/],
    ["not UTF-8", Buffer.from('{"v":1,"op":"list","after":"\xff"}', "latin1"), 0, /not JSON/],
    ["an array", "[1]", 0, /not a JSON object/],
    ["null", "null", 0, /not a JSON object/],
    ["no version", '{"op":"list"}', 0, /version/],
    ["another version", '{"v":2,"op":"list"}', 0, /version/],
    ["no op", '{"v":1}', 0, /no op/],
    ["an unknown op", '{"v":1,"op":"steal"}', 0, /no op/],
    ["an op of Object's", '{"v":1,"op":"constructor"}', 0, /no op/],
    ["an unknown key", '{"v":1,"op":"drop","name":"a","all":true}', 0, /drop has no 'all'/],
    ["put without descriptors", '{"v":1,"op":"put","name":"a"}', 0, /put with 0/],
    ["take with descriptors", '{"v":1,"op":"take","name":"a"}', 1, /take with 1/],
    ["no name", '{"v":1,"op":"take"}', 0, /name/],
    ["a name with a colon", '{"v":1,"op":"take","name":"a:b"}', 0, /name/],
    ["a number as name", '{"v":1,"op":"take","name":7}', 0, /'name' is not a string/],
    ["no time", '{"v":1,"op":"put","name":"a","timeoutMs":0}', 1, /timeoutMs/],
    ["over an hour", '{"v":1,"op":"put","name":"a","timeoutMs":3600001}', 1, /timeoutMs/],
    ["half a millisecond", '{"v":1,"op":"put","name":"a","timeoutMs":1.5}', 1, /timeoutMs/],
    ["a text for a flag", '{"v":1,"op":"put","name":"a","shared":"yes"}', 1, /'shared'/],
  ];
  for (const [what, text, fds, says] of cases) {
    test(what, () => {
      const data = typeof text === "string" ? Buffer.from(text) : text;
      assert.throws(() => decodeRequest(data, fds), { name: "MalformedError", message: says });
    });
  }
});

test("names fit into LISTEN_FDNAMES", () => {
  for (const name of ["web", "a.b-c_d@1/x", "x".repeat(128)]) assert.ok(isName(name), name);
  const bad = ["", "a b", "a:b", "a,b", "a;b", "a=b", "ä", "a\n", "x".repeat(129)];
  for (const name of bad) assert.equal(isName(name), false, name);
});

describe("descriptors restored by systemd", () => {
  test("are assembled by name, in the order they were put", () => {
    const { deposits, parts, others } = assemble(["web;1/2;500;x", "log;0/1;9;s", "web;0/2;500;x"]);
    assert.deepEqual(deposits, [
      { name: "web", fds: [5, 3], timeoutMs: 500, shared: false },
      { name: "log", fds: [4], timeoutMs: 9, shared: true },
    ]);
    assert.deepEqual([parts, others], [[], []]);
  });

  test("of an incomplete deposit, or not put by the store, are no deposit", () => {
    const names = ["web;1/2;500;x", "stored", "a;5/2;5;x", "a;0/1;0;x", "b;0/1;5;y"];
    const { deposits, parts, others } = assemble(names);
    assert.deepEqual(deposits, []);
    assert.deepEqual(
      parts.map(({ fdName, fd }) => [fdName, fd]),
      [["web;1/2;500;x", 3]],
    );
    assert.deepEqual(others, names.slice(1));
  });
});
