/**
 * Counts the operations of code instead of its time: every element that an array, Map or Set reads,
 * and every lookup. A loop within a loop shows on any machine.
 */

type Method = (this: unknown, ...args: unknown[]) => unknown;
type Prototype = Record<PropertyKey, Method>;

/** Methods that read the whole array. */
const WALKS = [
  ...["filter", "map", "flatMap", "some", "every", "find", "findIndex", "reduce", "forEach"],
  ...["includes", "indexOf", "slice", "concat", "fill", "join"],
] as const;
const SORTS = ["toSorted", "sort"] as const;
const LOOKUPS = ["has", "get", "set", "add", "delete"] as const;

/** Returns the number of operations of `work`. */
export function countOperations(work: () => void): number {
  let count = 0;
  const undo: (() => void)[] = [];
  const patch = (owner: object, name: string, cost: (self: unknown) => number) => {
    const prototype = owner as Prototype;
    const real = prototype[name];
    if (real === undefined) return;
    prototype[name] = function (...args) {
      count += cost(this);
      return real.apply(this, args);
    };
    undo.push(() => {
      prototype[name] = real;
    });
  };
  const length = (self: unknown) => (self as unknown[]).length;
  for (const name of WALKS) patch(Array.prototype, name, length);
  for (const name of SORTS) {
    patch(Array.prototype, name, (self) => length(self) * Math.ceil(Math.log2(length(self) + 1)));
  }
  for (const owner of [Map.prototype, Set.prototype, WeakMap.prototype]) {
    for (const name of LOOKUPS) patch(owner, name, () => 1);
  }
  for (const iterator of [[].values(), new Map().values(), new Set().values()]) {
    patch(Object.getPrototypeOf(iterator) as object, "next", () => 1);
  }
  try {
    work();
  } finally {
    for (const step of undo) step();
  }
  return count;
}
