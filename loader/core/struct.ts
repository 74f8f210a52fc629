/**
 * C structs of fixed size: layout, encoding and decoding from one list of fields. Little-endian
 * hosts only (x86_64, arm64). Pure.
 */

/** The type of a struct's member. Sizes in bytes. */
export interface Field<T> {
  readonly size: number;
  readonly alignment: number;
  read(from: Buffer, at: number): T;
  write(to: Buffer, at: number, value: T): void;
}

function field<T>(size: number, read: Field<T>["read"], write: Field<T>["write"]): Field<T> {
  return { size, alignment: size, read, write };
}

export const u8 = field<number>(
  1,
  (from, at) => from.readUInt8(at),
  (to, at, value) => to.writeUInt8(value, at),
);
export const u16 = field<number>(
  2,
  (from, at) => from.readUInt16LE(at),
  (to, at, value) => to.writeUInt16LE(value, at),
);
export const u32 = field<number>(
  4,
  (from, at) => from.readUInt32LE(at),
  (to, at, value) => to.writeUInt32LE(value, at),
);
export const u64 = field<bigint>(
  8,
  (from, at) => from.readBigUInt64LE(at),
  (to, at, value) => to.writeBigUInt64LE(value, at),
);
const below2To53 = (count: number) => Math.min(count, Number.MAX_SAFE_INTEGER);

/** A __u64 below 2^53, such as a count or a time; a larger one is read and written as 2^53 - 1. */
export const count64 = field<number>(
  8,
  (from, at) => below2To53(from.readUInt32LE(at) + from.readUInt32LE(at + 4) * 2 ** 32),
  (to, at, value) => to.writeBigUInt64LE(BigInt(below2To53(value)), at),
);

/** A __u8 or __u32 that is 0 or 1. */
export const flag = ({ size, alignment, read, write }: Field<number>): Field<boolean> => ({
  size,
  alignment,
  read: (from, at) => read(from, at) !== 0,
  write: (to, at, value) => write(to, at, value ? 1 : 0),
});

/** An unsigned integer that numbers the elements of a list; others read as the first element. */
export const oneOf = <T>(
  { read, write, ...rest }: Field<number>,
  list: readonly T[],
): Field<T> => ({
  ...rest,
  read: (from, at) => list[read(from, at)] ?? (list[0] as T),
  write: (to, at, value) => write(to, at, list.indexOf(value)),
});

/** A char array with a NUL at its end; a longer text is cut off. */
export const text = (size: number, encoding: BufferEncoding = "utf8"): Field<string> => ({
  size,
  alignment: 1,
  read: (from, at) => {
    const last = at + size - 1;
    const end = from.subarray(at, last).indexOf(0);
    return from.toString(encoding, at, end < 0 ? last : at + end);
  },
  write: (to, at, value) => void to.write(value, at, size - 1, encoding),
});

/** Bytes in no particular order. */
export const bytes = (size: number): Field<Buffer> => ({
  size,
  alignment: 1,
  read: (from, at) => from.subarray(at, at + size),
  write: (to, at, value) => void value.copy(to, at, 0, size),
});

/** An array; elements that are not given are 0. */
export const array = <T>(of: Field<T>, length: number): Field<readonly T[]> => ({
  size: of.size * length,
  alignment: of.alignment,
  read: (from, at) => Array.from({ length }, (_, i) => of.read(from, at + i * of.size)),
  write: (to, at, values) => {
    for (let i = 0; i < length && i < values.length; i++)
      of.write(to, at + i * of.size, values[i] as T);
  },
});

type Fields = Readonly<Record<string, Field<never> | Field<unknown>>>;
type ValueOf<F> = F extends Field<infer T> ? T : never;
/** The members of a struct by name, without its padding. */
export type Members<F> = { readonly [K in Exclude<keyof F, "pad">]: ValueOf<F[K]> };

/**
 * Returns a value of an append-only struct with the size it has here: of an older version's the rest
 * is 0, of a newer one's it is left out.
 */
export function fitted<T extends Buffer | null>(value: T, size: number): T | Buffer {
  if (value === null || value.length === size) return value;
  return Buffer.concat([value], size);
}

export class Struct<F extends Fields> {
  readonly size: number;
  /** Offset of each member, padding included. */
  readonly members: { readonly [K in keyof F]: number };
  readonly #fields: readonly (readonly [name: string, at: number, Field<unknown>])[];

  /** @param fields in the order of the C struct; explicit padding is called `pad` */
  constructor(fields: F) {
    let at = 0;
    let alignment = 1;
    const laid: [string, number, Field<unknown>][] = [];
    for (const [name, member] of Object.entries(fields)) {
      at = Math.ceil(at / member.alignment) * member.alignment;
      laid.push([name, at, member as Field<unknown>]);
      at += member.size;
      alignment = Math.max(alignment, member.alignment);
    }
    this.size = Math.ceil(at / alignment) * alignment;
    this.members = Object.fromEntries(laid.map(([name, offset]) => [name, offset])) as never;
    this.#fields = laid.filter(([name]) => name !== "pad");
  }

  encode(values: Members<F>): Buffer {
    const to = Buffer.alloc(this.size);
    for (const [name, at, member] of this.#fields) {
      member.write(to, at, values[name as keyof Members<F>]);
    }
    return to;
  }

  /** Decodes the struct at byte `from`, or one of zeros from null. */
  decode(value: Buffer | null, from = 0): Members<F> {
    const read = value ?? Buffer.alloc(this.size);
    const members: Record<string, unknown> = {};
    for (const [name, at, member] of this.#fields) members[name] = member.read(read, from + at);
    return members as Members<F>;
  }
}
