/**
 * SIGKILL of a depositor, a taker and the store, at every step: nothing is lost that need not be,
 * nothing stays.
 */
import assert from "node:assert/strict";
import { closeSync, openSync, writeFileSync } from "node:fs";
import { after, before, describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import * as libc from "../../loader/sys/libc.ts";
import { echoOn, outcomes, queueUp } from "../helpers/load/queue.ts";
import { PUT_STEPS, StoreProcess, TAKE_STEPS } from "../helpers/product/store.ts";
import { until } from "../helpers/until.ts";

const PORT = 18310;

/** What the store has of `web`, once nobody holds it. */
async function waitingIn(store: StoreProcess): Promise<number> {
  const client = await store.connect();
  const web = await until("its time runs, or it is gone", async () => {
    const [found] = await client.list();
    return found === undefined || found.leftMs !== null ? { fds: found?.fds.length ?? 0 } : null;
  });
  return web.fds;
}

let shared: StoreProcess;
before(async () => {
  shared = await StoreProcess.start();
});
after(() => shared[Symbol.asyncDispose]());

/** Frees the name and the port for the next test. */
async function clear(stop: () => Promise<void>): Promise<void> {
  await (await shared.connect()).drop("web");
  await stop();
}

describe("a depositor killed", () => {
  for (const step of PUT_STEPS) {
    const has = step === "connected" ? 0 : 1;
    test(`at '${step}': the store has ${has}`, async () => {
      const store = shared;
      const before = store.fdCount();
      const child = await store.step(step, "web", PORT);
      await child.stop("SIGKILL");
      assert.equal(await waitingIn(store), has);
      if (has === 0) return;
      // It listens though its process is dead, and what comes is the next one's.
      const waiting = await queueUp(PORT, 5, step);
      const client = await store.connect();
      const stop = await echoOn(await client.listen("web", `127.0.0.1:${PORT}`));
      assert.deepEqual(await outcomes(waiting), { ok: 5 });
      await clear(stop);
      // Our three clients are; the listener itself is nobody's any more.
      await until("nothing is left", () => store.fdCount() <= before + 3);
      const late = async () => Object.keys(await outcomes(await queueUp(PORT, 1, "late")));
      await until("the port is free", async () => (await late())[0] === "ECONNREFUSED");
    });
  }
});

describe("a taker killed", () => {
  for (const step of TAKE_STEPS) {
    const kept = step !== "take-confirmed";
    test(`at '${step}': ${kept ? "the store has it still" : "it was its own, and is closed"}`, async () => {
      const store = shared;
      const depositor = await store.connect();
      libc.close(await depositor.listen("web", `127.0.0.1:${PORT}`));
      depositor.close();
      const waiting = await queueUp(PORT, 5, step);
      const child = await store.step(step, "web", PORT);
      if (step !== "take-sent" && kept) {
        const other = await store.connect();
        await assert.rejects(other.take("web"), { reason: "taken" });
      }
      await child.stop("SIGKILL");
      assert.equal(await waitingIn(store), kept ? 1 : 0);
      if (!kept) return assert.deepEqual(await outcomes(waiting), { ECONNRESET: 5 });
      const client = await store.connect();
      const stop = await echoOn(await client.listen("web", `127.0.0.1:${PORT}`));
      assert.deepEqual(await outcomes(waiting), { ok: 5 });
      await clear(stop);
    });
  }
});

describe("the store killed", () => {
  test("what waits in it is closed with it, the next one takes the path over", async () => {
    await using store = await StoreProcess.start();
    const depositor = await store.connect();
    libc.close(await depositor.listen("web", `127.0.0.1:${PORT}`));
    depositor.close();
    assert.equal(await waitingIn(store), 1);
    const waiting = await queueUp(PORT, 5, "lost");
    await store.kill();
    assert.deepEqual(await outcomes(waiting), { ECONNRESET: 5 });
    await store.start();
    assert.equal(await waitingIn(store), 0);
    await store.stop();
  });

  test("what a live process holds is put again, and survives that process too", async () => {
    await using store = await StoreProcess.start();
    const holder = await store.step("take-kept", "web", PORT);
    const waiting = await queueUp(PORT, 5, "kept");
    for (let n = 0; n < 2; n++) {
      await store.kill();
      await store.start();
      const client = await store.connect();
      await until("it is there again", async () => {
        const [web] = await client.list();
        return web?.holders[0] === holder.pid && web.takers[0] === holder.pid;
      });
    }
    await holder.stop("SIGKILL");
    assert.equal(await waitingIn(store), 1);
    const client = await store.connect();
    const stop = await echoOn(await client.listen("web", `127.0.0.1:${PORT}`));
    assert.deepEqual(await outcomes(waiting), { ok: 5 });
    await stop();
  });

  test("at any moment of puts and takes: clients end with one sentence, and the next store works", {
    timeout: 60_000,
  }, async () => {
    await using store = await StoreProcess.start();
    const fd = openSync("/dev/null", "r");
    for (let round = 0; round < 4; round++) {
      const client = await store.connect();
      const killed = sleep(5 + 7 * round).then(() => store.kill());
      const busy = async () => {
        for (;;) {
          await client.put("x", [fd]);
          for (const copy of (await client.take("x")) ?? []) closeSync(copy);
        }
      };
      await assert.rejects(busy(), { name: "StoreGoneError", message: /^the store at .* is gone/ });
      await killed;
      client.close();
      await store.start();
      const next = await store.connect();
      await next.put("x", [fd]);
      closeSync((await next.take("x"))?.[0] ?? -1);
      next.close();
    }
    closeSync(fd);
    await store.stop();
  });
});

describe("the path", () => {
  test("is not taken from a store that lives", async () => {
    await using store = await StoreProcess.start();
    const second = store.serve(store.path);
    assert.equal(await second.exited, 7);
    assert.match(second.output(), /already listens on /);
    await (await store.connect()).list();
  });

  test("of another kind of file, none, or one too long is refused in a sentence", async () => {
    await using store = await StoreProcess.start();
    writeFileSync(store.dir.file("plain"), "");
    const refusals = [
      [store.dir.file("plain"), 7, 1, /exists and is not a socket/],
      [store.dir.file("no/such/directory"), 2, 1, /directory does not exist/],
      [store.dir.file("x".repeat(100)), 2, 2, /at most 107 bytes/],
    ] as const;
    const refused = refusals.map(async ([path, code, lines, says]) => {
      const child = store.serve(path);
      assert.equal(await child.exited, code, child.output());
      assert.match(child.output(), says);
      assert.equal(child.output().trim().split("\n").length, lines, child.output());
    });
    await Promise.all(refused);
  });
});
