/** What a client of the store does with replies that are none (found by `make fuzz`). */
import assert from "node:assert/strict";
import { closeSync, openSync } from "node:fs";
import { test } from "node:test";
import { FdStore } from "../../loader/store/fd_store.ts";
import { TempDir } from "../helpers/host/child.ts";
import { openFds } from "../helpers/host/fds.ts";
import { ImpostorStore } from "../helpers/product/impostor_store.ts";
import { until } from "../helpers/until.ts";

const GONE = { name: "StoreGoneError" } as const;
const OK = { v: 1, ok: true };

/** Answers `ask` with these messages, two descriptors on each; asserts that none stays open. */
async function answered(
  replies: readonly object[],
  ask: (store: FdStore) => Promise<unknown>,
): Promise<void> {
  using dir = new TempDir();
  const file = openSync(dir.file("deposit"), "w");
  try {
    using impostor = new ImpostorStore(dir.file("socket"));
    impostor.replies = replies.map((reply) => ({
      data: Buffer.from(JSON.stringify(reply)),
      fds: "fds" in reply && reply.fds === 2 ? [file, file] : [],
      more: "more" in reply,
    }));
    {
      using store = await FdStore.connect(impostor.path);
      await ask(store);
    }
    await until("it has left", () => impostor.clients === 0);
    const open = openFds().filter((fd) => fd.endsWith("/deposit"));
    assert.equal(open.length, 1, "descriptors of a reply are left open");
  } finally {
    closeSync(file);
  }
}

test("a list of anything else than names is no list", async () => {
  const name = { name: "web", fds: [], shared: false, timeoutMs: 1, holders: [], takers: [] };
  const whole = { ...name, ageMs: 1, leftMs: null };
  const list = (store: FdStore) => store.list();
  await answered([{ ...OK, names: [whole], next: null }], async (store) => {
    assert.deepEqual(await store.list(), [whole]);
  });
  for (const names of [[7], [name], [{ ...whole, fds: [{}] }], [{ ...whole, name: "\u001b[2J" }]]) {
    await answered([{ ...OK, names, next: null }], (store) =>
      assert.rejects(list(store), { ...GONE, message: /reply is malformed: it is not a reply/ }),
    );
  }
});

test("a list that begins again comes to an end", () =>
  answered(
    Array.from({ length: 9 }, () => ({ ...OK, names: [], next: "a" })),
    (store) => assert.rejects(store.list(), { ...GONE, message: /lists the same names again/ }),
  ));

test("descriptors of a message that is no reply are closed", async () => {
  const take = (store: FdStore) => store.take("web");
  for (const replies of [
    [{ v: 2, fds: 2 }],
    [{ v: 1, event: "gone", name: "web", fds: 2 }, { v: 2 }],
    [{ ...OK, fds: 2, more: true }, { ...OK, fds: 2 }, { v: 2 }],
    [
      { ...OK, fds: 2 },
      { v: 1, ok: false, reason: "peer", error: "no" },
    ],
  ]) {
    await answered(replies, async (store) => {
      try {
        for (const fd of (await take(store)) ?? []) closeSync(fd);
      } catch (error) {
        assert.match((error as Error).name, /^(StoreGoneError|PermissionError)$/);
      }
    });
  }
});
