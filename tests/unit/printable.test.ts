/** Text from outside cannot do anything but be read. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { printable, printableBytes } from "../../loader/printable.ts";

test("ordinary text of any script stays as it is", () => {
  for (const text of ["", "nginx", "größe 日本語 🚀", "a\\b \"c\" 'd'"]) {
    assert.equal(printable(text), text);
    assert.equal(printableBytes(Buffer.from(text)), text);
  }
});

test("control, format and line characters are escaped", () => {
  assert.equal(printable("\x1b[2J\x07\n\t\x7f"), "\\x1b[2J\\x07\\x0a\\x09\\x7f");
  assert.equal(
    printable("\u009b31m\u202egnp\u2028\ud800"),
    "\\x9b31m\\u{202e}gnp\\u{2028}\\u{d800}",
  );
  assert.equal(printable("\u{e0001}"), "\\u{e0001}");
});

test("bytes that are not UTF-8 are escaped, and what is stays", () => {
  assert.equal(printableBytes(Buffer.from([0x61, 0xff, 0xc3, 0xa4, 0xc3, 0x62])), "a\\xffä\\xc3b");
  assert.equal(printableBytes(Buffer.from("a\ufffdb")), "a\ufffdb");
  assert.equal(printableBytes(Buffer.from([0xf0, 0x9f, 0x9a])), "\\xf0\\x9f\\x9a");
});

test("random bytes: nothing unsafe is left", () => {
  let state = 1;
  const random = () => {
    state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0;
    return state >>> 16;
  };
  for (let run = 0; run < 20_000; run++) {
    const bytes = Buffer.from(Array.from({ length: random() % 20 }, () => random() & 0xff));
    const text = printableBytes(bytes);
    assert.doesNotMatch(text, /[\p{C}\p{Zl}\p{Zp}]/u, bytes.toString("hex"));
  }
});
