/** In what two reads of the iterator differ, by their bytes: most say the same, and are not decoded. Pure. */
import { LAYOUT } from "../core/abi.ts";

const RECORD = LAYOUT.rm_listener.size;
const AT = LAYOUT.rm_listener.members;
/** What changes with every connection is in one stretch of a record. */
const QUEUES = { from: AT.queue_length, to: AT.half_open + 4 };

/** Records of a read. */
export const count = (bytes: Buffer): number => bytes.length / RECORD;

/** How two reads differ; numbers of records. */
export interface Comparison {
  /** So many at the beginning, and at the end, are of the same owners of the same listeners. */
  readonly head: number;
  readonly tail: number;
  /** Those of them that do not say the same: their numbers in the one and the other. */
  readonly inPlace: readonly (readonly [number, number])[];
}

export function compareReads(a: Buffer, b: Buffer): Comparison {
  const inPlace: [number, number][] = [];
  const walk = (most: number, at: (bytes: Buffer, n: number, length: number) => number) => {
    for (let n = 0; ; n++) {
      n += equalFrom(most - n, (from, length) => {
        const [i, j] = [at(a, n + from, length), at(b, n + from, length)];
        return same(a, i, b, j, 0, length * RECORD);
      });
      if (n === most) return n;
      const [i, j] = [at(a, n, 1), at(b, n, 1)];
      if (!same(a, i, b, j, AT.cookie, AT.cookie + 8)) return n;
      if (!same(a, i, b, j, AT.pid, AT.fd + 4)) return n;
      inPlace.push([i, j]);
    }
  };
  const most = Math.min(count(a), count(b));
  const head = walk(most, (_, n) => n);
  const tail = walk(most - head, (bytes, n, length) => count(bytes) - n - length);
  return { head, tail, inPlace };
}

/** How many in a row are equal, at most `most`; asks for few and long stretches. */
function equalFrom(most: number, equal: (from: number, length: number) => boolean): number {
  let found = 0;
  let grows = true;
  for (let step = 1; found < most; ) {
    const length = Math.min(step, most - found);
    if (equal(found, length)) {
      found += length;
      step = grows ? step * 2 : Math.max(1, step >> 1);
    } else {
      if (length === 1) break;
      grows = false;
      step = length >> 1;
    }
  }
  return found;
}

/** The bytes from `from` up to `to`, counted from the beginning of a record of each. */
function same(a: Buffer, i: number, b: Buffer, j: number, from: number, to: number): boolean {
  const [x, y] = [i * RECORD, j * RECORD];
  return a.compare(b, y + from, y + to, x + from, x + to) === 0;
}

/** Two records say the same but for what changes with every connection. */
export function alikeButQueues(a: Buffer, i: number, b: Buffer, j: number): boolean {
  return same(a, i, b, j, 0, QUEUES.from) && same(a, i, b, j, QUEUES.to, RECORD);
}
