/**
 * Text from outside, made safe to show: names of processes, paths, messages of peers. Any user can
 * put control characters into them, which clear a terminal or forge a line of a log. Pure.
 */

/** Control and format characters, surrogates, unassigned ones; separators of lines. */
const UNSAFE = /[\p{C}\p{Zl}\p{Zp}]/gu;
/** Printable ASCII, which nearly every name is. */
const PLAIN = /^[\x20-\x7e]*$/;

/** Returns text with its unsafe characters as `\\x1b` or `\\u{202e}`. */
export function printable(text: string): string {
  return PLAIN.test(text) ? text : text.replace(UNSAFE, escaped);
}

/** Returns the text of UTF-8 bytes; bytes that are not UTF-8 appear as `\\xff`. */
export function printableBytes(bytes: Buffer): string {
  const text = bytes.toString("utf8");
  if (!text.includes("\ufffd") || Buffer.from(text).equals(bytes)) return printable(text);
  let out = "";
  for (let at = 0; at < bytes.length; ) {
    const length = lengthOfCharacter(bytes, at);
    out += length === 0 ? hex(bytes[at] ?? 0) : printable(bytes.toString("utf8", at, at + length));
    at += Math.max(1, length);
  }
  return out;
}

/** Returns the number of bytes of the UTF-8 character at `at`; 0 if there is none. */
function lengthOfCharacter(bytes: Buffer, at: number): number {
  for (let length = 1; length <= 4 && at + length <= bytes.length; length++) {
    const part = bytes.subarray(at, at + length);
    const text = part.toString("utf8");
    if ([...text].length === 1 && Buffer.from(text).equals(part)) return length;
  }
  return 0;
}

function escaped(character: string): string {
  const code = character.codePointAt(0) ?? 0;
  return code <= 0xff ? hex(code) : `\\u{${code.toString(16)}}`;
}

const hex = (code: number) => `\\x${code.toString(16).padStart(2, "0")}`;
