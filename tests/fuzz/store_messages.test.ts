/** Messages of the fd store, and any sequence of requests: no descriptor is lost or closed twice. */
import assert from "node:assert/strict";
import { listJson, listText } from "../../cli/store/list.ts";
import { StoreRefusedError } from "../../loader/errors.ts";
import { Deposits } from "../../loader/store/deposits.ts";
import {
  decodeReply,
  decodeRequest,
  encode,
  goneName,
  isName,
  MalformedError,
  type StoreRequest,
} from "../../loader/store/protocol.ts";
import { assemble } from "../../loader/store/systemd_fdstore.ts";
import type { Random } from "../helpers/random.ts";
import { fuzz } from "./fuzz.ts";
import { mutateText } from "./mutate.ts";
import { replyText, requestText, STORE_TOKENS } from "./store_grammar.ts";

/** Returns what `decode` does with a message: its result, or that it is malformed. */
function outcome<T>(decode: () => T): T | null {
  try {
    return decode();
  } catch (error) {
    assert.ok(error instanceof MalformedError, `not a MalformedError: ${(error as Error).stack}`);
    return null;
  }
}

/** Returns the bytes of a text, some of them no UTF-8. */
function data(random: Random, text: string): Buffer {
  const bytes = Buffer.from(random.oneIn(2) ? text : mutateText(random, text, STORE_TOKENS));
  if (random.oneIn(20)) random.bytes(3).copy(bytes, random.below(bytes.length + 1));
  return bytes;
}

fuzz("requests of the store", {
  make(random) {
    const text = requestText(random);
    const isPut = text.includes('"put"') !== random.oneIn(20);
    return { bytes: data(random, text), fds: isPut ? random.pick([1, 2, 253]) : 0 };
  },
  outcomes: ["a request", "malformed"],
  show: ({ bytes, fds }) => `${fds} fds, ${JSON.stringify(bytes.toString("latin1"))}`,
  check({ bytes, fds }) {
    const request = outcome(() => decodeRequest(bytes, fds));
    if (request === null) return "malformed";
    assert.deepEqual(decodeRequest(encode(request), fds), request);
    assert.ok(request.op === "list" || isName(request.name));
    return "a request";
  },
});

fuzz("replies of the store", {
  make: (random) => data(random, replyText(random)),
  outcomes: ["a reply", "an event", "malformed"],
  show: (bytes) => JSON.stringify(bytes.toString("latin1")),
  check(bytes) {
    if (goneName(bytes) !== null) return "an event";
    const reply = outcome(() => decodeReply(bytes));
    if (reply === null) return "malformed";
    assert.deepEqual(decodeReply(encode(reply)), reply);
    if (!("names" in reply)) return "a reply";
    assert.equal(typeof listText(reply.names), "string");
    JSON.stringify(listJson(reply.names));
    return "a reply";
  },
});

fuzz("LISTEN_FDNAMES", {
  make: (random) =>
    random.list(6, () =>
      random.oneIn(4)
        ? mutateText(random, "web;0/2;10000;x", [";", "/", "0", "999", "s", "é"])
        : `${random.pick(["a", "b"])};${random.below(4)}/${random.below(4)};${random.pick([1, 9])};x`,
    ),
  outcomes: ["assembled"],
  check(names) {
    const { deposits, parts, others } = assemble(names);
    const fds = [...deposits.flatMap((it) => it.fds), ...parts.map(({ fd }) => fd)];
    assert.equal(new Set(fds).size, fds.length, "a descriptor is in two deposits");
    assert.equal(fds.length + others.length, names.length, "a descriptor is lost");
    assert.ok(fds.every((fd) => fd >= 3 && fd < 3 + names.length));
    return "assembled";
  },
});

const LIMITS = { names: 3, fds: 8 };
type Step =
  | { readonly client: number; readonly request: StoreRequest; readonly fds: number }
  | { readonly client: number; readonly request: "leave" | "expire"; readonly fds: number };

function step(random: Random): Step {
  const client = 1 + random.below(3);
  const name = random.pick(["a", "b", "c", "d"]);
  const [shared, add, taken] = [random.oneIn(3), random.oneIn(3), random.oneIn(3)];
  const timeoutMs = random.pick([null, 1, 50]);
  const request = random.pick<Step["request"]>([
    { op: "put", name, timeoutMs, shared, add, taken },
    { op: "put", name, timeoutMs, shared: false, add: false, taken: false },
    { op: "take", name, keep: random.oneIn(2), timeoutMs },
    { op: "confirm", name },
    { op: "drop", name },
    "leave",
    "expire",
  ]);
  return { client, request, fds: 1 + random.below(3) } as Step;
}

fuzz("sequences of requests", {
  make: (random) => random.list(40, () => step(random)),
  outcomes: ["kept account"],
  check(steps) {
    const deposits = new Deposits(LIMITS, 100);
    const open = new Set<number>();
    let lastFd = 100;
    const close = (fds: readonly number[]) => {
      for (const fd of fds) assert.ok(open.delete(fd), `${fd} is closed twice`);
    };
    for (const [nowMs, { client, request, fds }] of steps.entries()) {
      try {
        if (request === "leave") deposits.disconnect(client, nowMs);
        else if (request === "expire") for (const it of deposits.expire(nowMs)) close(it.fds);
        else if (request.op === "put") {
          const put = Array.from({ length: fds }, () => ++lastFd);
          close(deposits.put(client, request, put, nowMs).replaced);
          for (const fd of put) open.add(fd);
        } else if (request.op === "take") deposits.take(client, request);
        else if (request.op === "confirm") close(deposits.confirm(client, request.name));
        else if (request.op === "drop") close(deposits.drop(request.name));
      } catch (error) {
        assert.ok(error instanceof StoreRefusedError, `${(error as Error).stack}`);
      }
      const kept = deposits.all.flatMap((it) => it.fds);
      assert.deepEqual(new Set(kept), open, "descriptors were lost");
      assert.ok(kept.length <= LIMITS.fds && deposits.all.length <= LIMITS.names);
      for (const { shared, takers, holders, leftMs } of deposits.all) {
        assert.ok(shared || takers.size <= 1, "two processes took a listener");
        assert.equal(leftMs === null, takers.size + holders.size > 0);
      }
    }
    for (const client of [1, 2, 3]) deposits.disconnect(client, 1_000);
    for (const it of deposits.expire(10_000)) close(it.fds);
    assert.deepEqual([open.size, deposits.dueMs], [0, null], "something is kept for ever");
    return "kept account";
  },
});
