/** Changes to valid inputs: most of a changed input stays valid, so it gets far into a parser. Pure. */
import type { Random } from "../helpers/random.ts";

/** Changes up to `changes` places of a text; `tokens` are what its grammar is made of. */
export function mutateText(
  random: Random,
  text: string,
  tokens: readonly string[],
  changes = 4,
): string {
  let out = text;
  for (let left = random.below(changes + 1); left > 0; left--) {
    const at = random.below(out.length + 1);
    const length = random.below(random.pick([2, 4, 16]));
    const to = Math.min(out.length, at + length);
    const insert = random.pick([
      () => "",
      () => random.pick(tokens),
      () =>
        String.fromCodePoint(random.pick([0, 9, 10, 27, 0x7f, 0x85, 0xfeff, random.below(256)])),
      () => out.slice(random.below(out.length + 1)).slice(0, random.below(40)),
      () => random.pick(tokens).repeat(random.pick([2, 3, 100])),
    ])();
    out = out.slice(0, at) + insert + out.slice(to);
  }
  return out;
}

/** Changes some bytes in place: bits, edges of 1, 2, 4 and 8 bytes, runs of one value, noise. */
export function mutateBytes(random: Random, bytes: Buffer): Buffer {
  const changes = random.pick([1, 1, 2, 4, 16]);
  for (let i = 0; i < changes && bytes.length >= 8; i++) {
    const at = random.below(bytes.length - 7);
    random.pick([
      () => bytes.writeUInt8((bytes[at] ?? 0) ^ (1 << random.below(8)), at),
      () => bytes.writeUInt8(random.pick([0, 1, 0x7f, 0x80, 0xff]), at),
      () => bytes.writeUInt16LE(random.number() & 0xffff, at & ~1),
      () => bytes.writeUInt32LE(random.number(), at & ~3),
      () => bytes.writeBigUInt64LE(random.big(), at & ~7),
      () =>
        bytes.fill(random.pick([0, 1, 0xff]), at, Math.min(bytes.length, at + random.below(64)))
          .length,
      () => random.bytes(random.below(32)).copy(bytes, at),
    ])();
  }
  return bytes;
}
