/** Pins of another ABI: a sidecar replaces them, without a gap, and goes on with their records. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { LockedError } from "../../loader/errors.ts";
import { ABI_VERSION } from "../../loader/index.ts";
import { type Peer, tally } from "../helpers/load/peer.ts";
import { runCli } from "../helpers/product/cli.ts";
import { setAbi } from "../helpers/scene/pinned_record.ts";
import { BPFFS, scene } from "../helpers/scene/scene.ts";
import { decisions, type GroupStatus, groupOf, programOn } from "../helpers/scene/status.ts";

describe("pins of another ABI", () => {
  test(
    "generations, drained listeners and holds go on, other counts begin anew",
    scene(async (s) => {
      const hold = { timeMs: 600_000, max: 16 };
      const old = await s.listener();
      await (await s.listener()).serve();
      const first = await s.sidecar({ hold });
      await runCli(["drain", s.spec, "--listener", String(old.cookie)]);
      await tally(await s.peers(5));
      await first.close({ keep: true });
      const before = groupOf(s.port);
      setAbi(`${BPFFS}/reuseport-migrate/${before.name}`, ABI_VERSION + 1);
      await s.sidecar({ hold });
      const after = groupOf(s.port);
      const rolesOf = ({ listeners }: GroupStatus) =>
        listeners.map(({ cookie, slot, generation, role }) => ({ cookie, slot, generation, role }));
      const servers = (group: GroupStatus) =>
        rolesOf(group).filter(({ role }) => role !== "standby");
      assert.deepEqual(servers(after), servers(before));
      assert.ok(servers(after).some(({ role }) => role === "draining"));
      assert.equal(after.attachments, before.attachments);
      assert.notDeepEqual(decisions(before), {});
      assert.deepEqual(decisions(after), {});
      assert.equal(after.firstProgramId, after.programId);
    }),
  );

  test(
    "no connection is lost, or reaches a drained listener, while it is replaced",
    scene(async (s) => {
      const old = await s.listener();
      const listener = await s.listener();
      await listener.serve();
      let sidecar = await s.sidecar();
      await runCli(["drain", s.spec, "--listener", String(old.cookie)]);
      const name = groupOf(s.port).name;
      const peers: Peer[] = [];
      let isOver = false;
      const load = (async () => {
        while (!isOver) peers.push(...(await s.peers(5)));
      })();
      for (let n = 0; n < 5; n++) {
        await sidecar.close({ keep: true });
        setAbi(`${BPFFS}/reuseport-migrate/${name}`, ABI_VERSION + 1);
        sidecar = await s.sidecar();
      }
      isOver = true;
      await load;
      assert.deepEqual(await tally(peers), { [listener.process.pid]: peers.length });
    }),
  );

  test(
    "whose sidecar runs: it is not replaced",
    scene(async (s) => {
      await s.listener();
      await s.sidecar();
      const { name, programId } = groupOf(s.port);
      setAbi(`${BPFFS}/reuseport-migrate/${name}`, ABI_VERSION + 1);
      await assert.rejects(() => s.sidecar(), LockedError);
      assert.equal(programOn(s.port), programId);
    }),
  );

  test(
    "detach takes SPECs, and leaves other groups",
    scene(async (s) => {
      await s.listener();
      await (await s.sidecar()).close({ keep: true });
      const directory = `${BPFFS}/reuseport-migrate/${groupOf(s.port).name}`;
      setAbi(directory, ABI_VERSION + 1);
      const other = await runCli(["detach", `127.0.0.1:${s.port + 1}`]);
      assert.equal(other.code, 4, other.stderr);
      assert.notEqual(programOn(s.port), null);
      const detach = await runCli(["detach", s.spec]);
      assert.equal(detach.code, 0, detach.stderr);
      assert.equal(programOn(s.port), null);
    }),
  );
});
