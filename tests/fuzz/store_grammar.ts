/** Messages of the store's format, right and nearly right. Pure. */
import type { Random } from "../helpers/random.ts";

/** What the format, and JSON, are made of. */
export const STORE_TOKENS = [
  ...['"v":1,', '"op":"put"', '"name":"web"', '"fds":', '"names":[', '"ok":true', '"event":"gone"'],
  ...[
    "{",
    "}",
    "[",
    "]",
    ",",
    ":",
    '"',
    "\\u0000",
    "\\ud800",
    "null",
    "true",
    "1e999",
    "-0",
    "0.5",
  ],
  ...['"__proto__":{"a":1},', "[[[[[[[[", "\u001b[2J", "é"],
];
const WORDS = ["web", "a", "", "a b", "x".repeat(129), "__proto__", "\u001b[2J", "ü"];
const OPS = ["put", "take", "confirm", "drop", "list", "gone", "constructor", "steal"];

type Json = string | number | boolean | null | Json[] | { [key: string]: Json };

/** Returns any value of JSON. */
function json(random: Random, depth = 0): Json {
  return random.pick<() => Json>([
    () => random.pick(WORDS),
    () => random.pick([0, 1, -1, 0.5, 1e21, 3_600_000, 3_600_001, random.number()]),
    () => random.oneIn(2),
    () => null,
    () => (depth > 2 ? [] : random.list(3, () => json(random, depth + 1))),
    () => (depth > 2 ? {} : { [random.pick(WORDS)]: json(random, depth + 1) }),
  ])();
}

/** Returns `right`, or, one time in `of`, anything. */
const mostly = (random: Random, right: Json, of = 12): Json =>
  random.oneIn(of) ? json(random) : right;

/** Returns the text of a request, most of them valid. */
export function requestText(random: Random): string {
  const op = random.pick(OPS.slice(0, 5));
  const keys: [string, Json][] = [
    ["v", mostly(random, 1, 40)],
    ["op", mostly(random, op, 40)],
  ];
  if (op !== "list") keys.push(["name", mostly(random, random.pick(["web", "a", "b", "c"]), 20)]);
  const more: Record<string, Json> = {
    timeoutMs: mostly(random, random.pick([null, 1, 5, 100])),
    shared: mostly(random, random.oneIn(2)),
    add: mostly(random, random.oneIn(2)),
    taken: mostly(random, random.oneIn(2)),
    keep: mostly(random, random.oneIn(2)),
    after: mostly(random, "a"),
  };
  const known = { put: ["timeoutMs", "shared", "add", "taken"], take: ["keep", "timeoutMs"] };
  const own = op === "list" ? ["after"] : (known[op as keyof typeof known] ?? []);
  for (const key of random.oneIn(20) ? Object.keys(more) : own) {
    if (random.oneIn(2)) keys.push([key, more[key] as Json]);
  }
  if (random.oneIn(20)) keys.push([random.pick(WORDS), json(random)]);
  return object(keys.filter(() => !random.oneIn(60)));
}

const storedName = (random: Random): Json => ({
  name: mostly(random, "web"),
  fds: mostly(
    random,
    random.list(2, () => ({
      type: mostly(random, "tcp"),
      listening: mostly(random, true),
      address: mostly(random, "127.0.0.1:80"),
      queue: mostly(random, random.pick([null, 3])),
    })),
  ),
  shared: mostly(random, false),
  timeoutMs: mostly(random, 100),
  holders: mostly(random, [1, 2]),
  takers: mostly(random, []),
  ageMs: mostly(random, 5),
  leftMs: mostly(random, random.pick([null, 7])),
});

/** Returns the text of a reply or of an event, most of them valid. */
export function replyText(random: Random): string {
  const v: [string, Json] = ["v", mostly(random, 1, 30)];
  const ok: [string, Json] = ["ok", mostly(random, true, 20)];
  return random.pick([
    () =>
      object([v, ok, ["fds", mostly(random, random.below(3))], ["shared", mostly(random, true)]]),
    () => {
      const names = mostly(
        random,
        random.list(2, () => storedName(random)),
      );
      return object([
        v,
        ok,
        ["names", names],
        ["next", mostly(random, random.pick([null, "web"]))],
      ]);
    },
    () => {
      const reason = mostly(random, random.pick(["taken", "absent", "peer", "malformed"]));
      return object([v, ["ok", false], ["reason", reason], ["error", mostly(random, "no")]]);
    },
    () => object([v, ["event", mostly(random, "gone", 30)], ["name", mostly(random, "web")]]),
    () => JSON.stringify(json(random)),
  ])();
}

/** Returns an object with its keys in this order, repeated ones included. */
function object(entries: readonly (readonly [string, Json])[]): string {
  return `{${entries.map(([key, value]) => `${JSON.stringify(key)}:${JSON.stringify(value)}`).join(",")}}`;
}
