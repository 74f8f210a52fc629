/** Which network namespaces have ended: no process twice, and no mount in between. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { setImmediate as turn } from "node:timers/promises";
import { netnsInode } from "../../loader/net/netns_inode.ts";
import { NETNS_RESCAN_MS, NetnsLiveness } from "../../loader/observe/netns_liveness.ts";

class Host {
  processes = new Map<number, number>();
  lists = 0;
  mounted: Set<number> | null = new Set<number>();
  reads = 0;
  /** How long a read of mounts takes, and whether it fails. */
  readMs = 0;
  fails = false;
  #spentMs = 0;
  #nowMs = 0;
  readonly #liveness = new NetnsLiveness({
    processes: () => {
      this.lists++;
      return [...this.processes].map(([pid, netns]) => ({ pid, netns, mntns: 1 }));
    },
    mounted: async () => {
      this.reads++;
      this.#spentMs += this.readMs;
      if (this.fails) throw new Error("no memory");
      return this.mounted;
    },
    now: () => this.#spentMs,
  });

  /** Asks again after a time; returns the ended ones. */
  async after(ms: number, ...candidates: number[]): Promise<number[]> {
    this.#nowMs += ms;
    const ended = this.#liveness.findEnded(new Set(candidates), this.#nowMs);
    await turn();
    return [...ended];
  }
}

test("one without a process and a mount has ended after the second look", async () => {
  const host = new Host();
  host.processes.set(10, 7);
  assert.deepEqual(await host.after(NETNS_RESCAN_MS, 7, 8), []);
  assert.deepEqual(await host.after(NETNS_RESCAN_MS - 1, 7, 8), [], "too early");
  assert.deepEqual(await host.after(1, 7, 8), [8]);
});

test("one that a mount keeps has not, nor one that a process enters again", async () => {
  const host = new Host();
  host.mounted = new Set([8]);
  await host.after(NETNS_RESCAN_MS, 7, 8);
  host.processes.set(10, 7);
  assert.deepEqual(await host.after(NETNS_RESCAN_MS, 7, 8), []);
  host.processes.clear();
  assert.deepEqual(await host.after(NETNS_RESCAN_MS, 7, 8), [], "7 was there in between");
});

test("mounts are read only while a namespace has no process, and every 10 s at most", async () => {
  const host = new Host();
  host.processes.set(10, 7);
  host.mounted = new Set([8]);
  for (let second = 0; second < 30; second++) await host.after(NETNS_RESCAN_MS, 7);
  assert.equal(host.reads, 0);
  for (let second = 0; second < 30; second++) await host.after(NETNS_RESCAN_MS, 8);
  assert.equal(host.reads, 3);
});

test("if not every mount could be read, none has ended", async () => {
  const host = new Host();
  host.mounted = null;
  for (let second = 0; second < 30; second++) {
    assert.deepEqual(await host.after(NETNS_RESCAN_MS, 8), []);
  }
});

test("nor if a read of mounts fails", async () => {
  const host = new Host();
  host.fails = true;
  for (let second = 0; second < 30; second++) {
    assert.deepEqual(await host.after(NETNS_RESCAN_MS, 8), []);
  }
  assert.equal(host.reads, 3);
  host.fails = false;
  await host.after(10 * NETNS_RESCAN_MS, 8);
  assert.deepEqual(await host.after(NETNS_RESCAN_MS, 8), [8]);
});

test("mounts that take long are read seldom: a twentieth of the time", async () => {
  const host = new Host();
  host.mounted = new Set([8]);
  host.readMs = 5_000;
  for (let second = 0; second < 500; second++) await host.after(NETNS_RESCAN_MS, 8);
  assert.equal(host.reads, 5);
});

test("ours has not: nothing is read for it", async () => {
  const host = new Host();
  const own = netnsInode("/proc/self/ns/net");
  for (let second = 0; second < 5; second++) {
    assert.deepEqual(await host.after(NETNS_RESCAN_MS, own), []);
  }
  assert.equal(host.lists, 0);
  await host.after(NETNS_RESCAN_MS, own, 8);
  assert.equal(host.lists, 1);
});
