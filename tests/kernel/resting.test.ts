/** A sidecar that looks only after what changed still learns of what it is not told. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { PinTree } from "../../loader/bpf/pin_tree.ts";
import { Group } from "../../loader/group/group.ts";
import { drain, parseSpec, undrain } from "../../loader/index.ts";
import { YOUNG_MS } from "../../loader/manage/option_schedule.ts";
import { Observer } from "../../loader/observe/observer.ts";
import { addressOf, BigHost } from "../helpers/host/big_host.ts";
import { BPFFS, scene } from "../helpers/scene/scene.ts";
import { groupOf } from "../helpers/scene/status.ts";
import { until } from "../helpers/until.ts";

/** Its listeners are young no more, so that nothing is due for minutes. */
const settle = () => sleep(YOUNG_MS + 1_500);

describe("a sidecar at rest", () => {
  test(
    "a drain by another command begins a hold",
    scene(async (s) => {
      const { cookie } = await s.listener();
      (await s.sidecar({ hold: { timeMs: 600_000, max: 16 } })).watch();
      await settle();
      assert.equal(groupOf(s.port).hold?.holding, false);
      await drain([parseSpec(s.spec)], { cookie: BigInt(cookie) }, { bpffs: BPFFS, force: true });
      await until("it holds", () => groupOf(s.port).hold?.holding);
    }),
  );

  test(
    "what a command has drained is drained in its status at once, and stays so when it leaves",
    scene(async (s) => {
      const { cookie } = await s.listener();
      await s.listener();
      const sidecar = await s.sidecar();
      await sidecar.reconcile();
      const roles = async () => {
        const [group] = (await sidecar.status()).groups;
        return group?.listeners.map((one) => [one.cookie === BigInt(cookie), one.role]);
      };
      assert.deepEqual(await roles(), [
        [true, "target"],
        [false, "target"],
      ]);
      await drain([parseSpec(s.spec)], { cookie: BigInt(cookie) }, { bpffs: BPFFS });
      assert.deepEqual(await roles(), [
        [true, "draining"],
        [false, "target"],
      ]);
      await undrain([parseSpec(s.spec)], null, { bpffs: BPFFS });
      await drain([parseSpec(s.spec)], { cookie: BigInt(cookie) }, { bpffs: BPFFS });
      await sidecar.close({ keep: true });
      const { listeners } = groupOf(s.port);
      assert.deepEqual(
        listeners.map(({ role }) => role),
        ["draining", "target"],
      );
      await s.sidecar(); // to be closed at the end
    }),
  );

  test(
    "what was taken out of the sockmap is put back: by a whole pass, and when a command has changed anything",
    scene(async (s) => {
      const { cookie } = await s.listener();
      const sidecar = await s.sidecar();
      sidecar.watch();
      await settle();
      const pinTree = new PinTree(BPFFS);
      const { name, listeners } = groupOf(s.port);
      using group = Group.open(pinTree.directory(name));
      const slot = listeners[0]?.slot ?? -1;
      const isThere = () => group.cookieIn(slot) === BigInt(cookie);
      assert.equal(isThere(), true);
      for (const mend of [() => sidecar.reconcile(), () => pinTree.mark()]) {
        group.removeListener(slot);
        assert.equal(isThere(), false);
        await mend();
        await until("it is there again", isThere);
      }
    }),
  );

  for (const hold of [null, { timeMs: 600_000, max: 16 }]) {
    test(
      `after a bind it looks at ${hold ? "everybody, as it holds" : "who bound"}`,
      scene(async (s) => {
        await s.listener();
        const seen: bigint[] = [];
        const { snapshotProcesses: observeProcesses } = Observer.prototype;
        Observer.prototype.snapshotProcesses = function (pids) {
          const observed = observeProcesses.call(this, pids);
          seen.push(...(observed?.listeners ?? []).map(({ cookie }) => cookie));
          return observed;
        };
        s.defer(() => {
          Observer.prototype.snapshotProcesses = observeProcesses;
        });
        (await s.sidecar({ hold })).watch();
        await settle();
        let next = 0n;
        const isTarget = () =>
          groupOf(s.port).listeners.some(
            ({ cookie, role }) => cookie === next && role === "target",
          );
        // On a busy machine listen() may come after the last read of the process.
        for (let tries = 0; tries < 4 && !seen.includes(next); tries++) {
          next = BigInt((await s.listener()).cookie);
          await until("it is a target", isTarget);
        }
        assert.equal(seen.includes(next), hold === null);
      }),
    );
  }

  test(
    "many groups that appear at once are taken on in turns",
    scene(async (s) => {
      const GROUPS = 12;
      const sidecar = await s.sidecar({ spec: `:${s.port}`, wait: true });
      sidecar.watch();
      let turns = 0;
      const ticking = setInterval(() => turns++, 1);
      s.defer(() => clearInterval(ticking));
      using host = new BigHost();
      await host.groups(s.port, 0, GROUPS, 2);
      const names = (): string[] => new PinTree(BPFFS).groups();
      const has = (group: number) =>
        names().some((name) => name.includes(addressOf(group).replaceAll(".", "_")));
      await until("the first is taken on", () => names().length > 0, 1);
      const before = turns;
      await until(
        "all are taken on",
        () => has(0) && has(GROUPS - 1) && names().length === GROUPS,
        1,
      );
      assert.ok(turns - before >= (GROUPS - 1) / 2, `${turns - before} turns of the event loop`);
      await sidecar.close();
    }),
  );
});
