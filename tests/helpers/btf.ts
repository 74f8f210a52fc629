/** Structs of an object's BTF: sizes and member offsets (Documentation/bpf/btf.rst). */
import koffi from "koffi";
import type { BpfObject } from "../../loader/bpf/object.ts";
import { btf__raw_data } from "../../loader/sys/libbpf.ts";

const KIND = {
  int: 1,
  array: 3,
  struct: 4,
  union: 5,
  enum: 6,
  funcProto: 13,
  var: 14,
  datasec: 15,
  declTag: 17,
  enum64: 19,
};

export interface StructLayout {
  readonly size: number;
  readonly members: Record<string, number>;
}

/** Every struct by name, offsets in bytes. */
export function readStructs(object: BpfObject): Map<string, StructLayout> {
  const size: [number] = [0];
  const pointer = btf__raw_data(object.btf(), size);
  const raw = Buffer.from(koffi.decode(pointer, koffi.array("uint8_t", size[0])) as Uint8Array);
  const headerLength = raw.readUInt32LE(4);
  const types = headerLength + raw.readUInt32LE(8);
  const typesEnd = types + raw.readUInt32LE(12);
  const strings = headerLength + raw.readUInt32LE(16);
  const name = (offset: number) => {
    const start = strings + offset;
    return raw.toString("utf8", start, raw.indexOf(0, start));
  };
  const found = new Map<string, StructLayout>();
  for (let at = types; at < typesEnd; ) {
    const info = raw.readUInt32LE(at + 4);
    const vlen = info & 0xffff;
    const kind = (info >>> 24) & 0x1f;
    const flagged = info >>> 31 === 1; // offsets then hold a bit-field's size too
    if (kind === KIND.struct) {
      const members: Record<string, number> = {};
      for (let i = 0; i < vlen; i++) {
        const member = at + 12 + i * 12;
        const offset = raw.readUInt32LE(member + 8);
        members[name(raw.readUInt32LE(member))] = (flagged ? offset & 0xffffff : offset) / 8;
      }
      found.set(name(raw.readUInt32LE(at)), { size: raw.readUInt32LE(at + 8), members });
    }
    at += 12 + tail(kind, vlen);
  }
  return found;
}

function tail(kind: number, vlen: number): number {
  switch (kind) {
    case KIND.int:
    case KIND.var:
    case KIND.declTag:
      return 4;
    case KIND.array:
      return 12;
    case KIND.struct:
    case KIND.union:
    case KIND.datasec:
    case KIND.enum64:
      return vlen * 12;
    case KIND.enum:
    case KIND.funcProto:
      return vlen * 8;
    default:
      return 0;
  }
}
