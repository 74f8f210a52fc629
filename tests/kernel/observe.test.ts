/** Reads of the iterator: of the whole host, and of one process alone. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { Observer } from "../../loader/observe/observer.ts";
import type { Snapshot } from "../../loader/observe/snapshot.ts";
import { scene } from "../helpers/scene/scene.ts";

describe("a read of some processes", () => {
  test(
    "sees what they opened since, and of others what was seen before; only the host tells who closed",
    scene(async (s) => {
      const [one, other] = [await s.process(), await s.process()];
      const [before, elsewhere] = [await s.listener({}, one), await s.listener({}, other)];
      using observer = new Observer();
      const cookies = async (snapshot: Snapshot | Promise<Snapshot> = observer.snapshot()) =>
        (await snapshot).listeners
          .filter(({ key }) => key.port === s.port)
          .map(({ cookie }) => cookie)
          .toSorted();
      const sorted = (...all: readonly (typeof before)[]) =>
        all.map(({ cookie }) => BigInt(cookie)).toSorted();
      assert.deepEqual(await cookies(), sorted(before, elsewhere));

      const [opened, unseen] = [await s.listener({}, one), await s.listener({}, other)];
      const observed = observer.snapshotProcesses([one.pid]);
      assert.ok(observed, "Linux 6.1 or newer");
      assert.deepEqual(await cookies(observed), sorted(before, elsewhere, opened));
      const both = observer.snapshotProcesses([one.pid, other.pid]);
      assert.ok(both);
      assert.deepEqual(await cookies(both), sorted(before, elsewhere, opened, unseen));
      await before.close();
      assert.equal(observer.snapshotProcesses([one.pid]), null, "another process may have it now");
      assert.deepEqual(await cookies(), sorted(elsewhere, opened, unseen));
      await one.kill();
      assert.equal(observer.snapshotProcesses([one.pid]), null);
      assert.deepEqual(await cookies(), sorted(elsewhere, unseen));
      assert.equal(observer.snapshotProcesses([]), null);
    }),
  );
});
