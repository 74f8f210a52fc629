/** The loop of a sidecar, without a kernel: a clock, an observer, a lock and groups of ours. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { setImmediate as turn } from "node:timers/promises";
import type { Lock } from "../../loader/bpf/directory_lock.ts";
import type { PinTree } from "../../loader/bpf/pin_tree.ts";
import type { Listener } from "../../loader/core/listener.ts";
import { parseSpec } from "../../loader/core/spec.ts";
import { LockedError } from "../../loader/errors.ts";
import { Journal } from "../../loader/log.ts";
import type { Snapshot } from "../../loader/observe/snapshot.ts";
import type { OwnedMatch } from "../../loader/service/ownership.ts";
import { Service, type ServiceOptions } from "../../loader/service/service.ts";
import type { Clock } from "../../loader/sidecar/clock.ts";
import type { ReconciledGroups } from "../../loader/sidecar/pass.ts";
import { Reconciler } from "../../loader/sidecar/reconciler.ts";

class FakeClock implements Clock {
  #nowMs = 1_000;
  readonly #timers = new Set<{ dueMs: number; callback: () => void }>();

  now = () => this.#nowMs;
  boottimeMs = () => this.#nowMs;

  after(delayMs: number, callback: () => void): () => void {
    const timer = { dueMs: this.#nowMs + delayMs, callback };
    this.#timers.add(timer);
    return () => this.#timers.delete(timer);
  }

  sleep(ms: number): Promise<void> {
    return new Promise((resolve) => this.after(ms, resolve));
  }

  /** Lets time pass while the CPU is busy. */
  spend(ms: number): void {
    this.#nowMs += ms;
  }

  async advance(ms: number): Promise<void> {
    const untilMs = this.#nowMs + ms;
    for (;;) {
      await turn();
      const due = [...this.#timers].filter(({ dueMs }) => dueMs <= untilMs);
      const [next] = due.sort((a, b) => a.dueMs - b.dueMs);
      if (!next) break;
      this.#timers.delete(next);
      this.#nowMs = Math.max(this.#nowMs, next.dueMs);
      next.callback();
    }
    this.#nowMs = Math.max(this.#nowMs, untilMs);
  }

  get pending(): number {
    return this.#timers.size;
  }
}

const PORT = 80;
const NAME = "group";

/** Everything a reconciler works with; `did` is what it did, in order. */
class World {
  readonly clock = new FakeClock();
  readonly did: string[] = [];
  readonly log: string[] = [];
  /** Names of groups that listen, and those of which a refresh is due. */
  listening: string[] = [];
  due: string[] = [];
  /** What a read takes, and the refresh of a group. */
  readMs = 0;
  refreshMs = 0;
  isLocked = false;
  isHeld = false;
  failure: Error | null = null;
  changes = 1n;
  holdDueMs: number | null = null;
  detached: string[] = [];
  readonly managed = new Set<string>();
  /** Binds that were not reported. */
  missed = 0;
  permits = 0;
  readonly binds = {
    permit: () => {
      this.permits++;
      const { missed } = this;
      this.missed = 0;
      return missed;
    },
    watch: () => this.did.push("watch"),
  };
  readonly journal = new Journal(({ text }) => this.log.push(text));
  readonly reconciler: Reconciler;
  ended: Promise<void> | null = null;
  released = 0;

  constructor(options: Partial<ServiceOptions> = {}) {
    const { clock, journal } = this;
    this.reconciler = new Reconciler(
      {
        clock,
        journal,
        idleMs: 1e9,
        pinTree: this.#pinTree(),
        observer: this.#observer(),
        groups: this.#groups(),
      },
      [this.service(options)],
    );
  }

  service(options: Partial<ServiceOptions> = {}): Service {
    const specs = [parseSpec(`:${PORT}`)];
    const all = { specs, netns: "all", migrate: "newest", route: "kernel", ...options } as const;
    return new Service(all, this.journal, () => this.reconciler.pollNow());
  }

  run(): void {
    this.ended = this.reconciler.run({ released: () => void this.released++ });
  }

  /** Takes what was done so far. */
  take(): string[] {
    return this.did.splice(0);
  }

  #snapshot: Snapshot | null = null;

  #read(): Snapshot {
    if (this.failure) throw this.failure;
    const names = [...(this.#snapshot?.groups.keys() ?? [])];
    if (this.#snapshot && names.join() === this.listening.join()) return this.#snapshot;
    const key = { netns: 1, family: "ipv4", address: "127.0.0.1", port: PORT } as const;
    const members = () =>
      [{ key, protocol: "tcp", reuseport: true, owners: [] }] as unknown as Listener[];
    const groups = new Map(this.listening.map((name) => [name, members()]));
    this.#snapshot = {
      ...this.#snapshot,
      listeners: [...groups.values()].flat(),
      groups,
    } as Snapshot;
    return this.#snapshot;
  }

  #observer() {
    return {
      snapshot: async () => {
        this.did.push("read host");
        if (this.readMs > 0) await this.clock.sleep(this.readMs);
        return this.#read();
      },
      snapshotProcesses: (pids: Iterable<number>) => {
        this.did.push(`read ${[...pids].join(" ")}`);
        return this.#read();
      },
    };
  }

  #pinTree(): PinTree {
    const lock = async (timeoutMs: number): Promise<Lock> => {
      if (this.isLocked) {
        await this.clock.sleep(timeoutMs);
        throw new LockedError("held by a test");
      }
      assert.equal(this.isHeld, false, "the lock is free between slices");
      this.isHeld = true;
      return {
        [Symbol.dispose]: () => {
          this.isHeld = false;
        },
      } as Lock;
    };
    const world = this;
    return {
      lock,
      get changes() {
        return world.changes;
      },
    } as unknown as PinTree;
  }

  #groups(): ReconciledGroups {
    const world = this;
    return {
      get size() {
        return world.managed.size;
      },
      get holdDueMs() {
        return world.holdDueMs;
      },
      has: (name) => this.managed.has(name),
      isDetached: ({ name }) => this.detached.includes(name),
      select: (matches) => matches.filter(({ name }) => !this.detached.includes(name)),
      due: () => [...this.due],
      invalidate: () => this.did.push("invalidate"),
      emptyNetns: () => new Set(),
      failOpen: () => this.did.push("fail open"),
      dropDetached: () => {
        const dropped = this.detached.filter((name) => this.managed.delete(name));
        return dropped.length > 0;
      },
      refresh: (name) => {
        assert.ok(this.isHeld, "under the lock");
        this.did.push(`refresh ${name}`);
        this.due = this.due.filter((other) => other !== name);
        this.clock.spend(this.refreshMs);
      },
      takeOn: ({ name }: OwnedMatch) => {
        assert.ok(this.isHeld, "under the lock");
        this.did.push(`take on ${name}`);
        this.managed.add(name);
        this.clock.spend(this.refreshMs);
        return null;
      },
    };
  }
}

/** A world whose reconciler runs, and has made its first poll. */
async function running(options: Partial<ServiceOptions> = {}): Promise<World> {
  const world = new World(options);
  world.reconciler.binds = world.binds;
  world.run();
  await world.clock.advance(1);
  assert.deepEqual(world.take(), ["read host", "invalidate"]);
  return world;
}

describe("polls", () => {
  test("at once, every second, and at rest every five seconds", async () => {
    const world = await running();
    await world.clock.advance(9_998);
    assert.equal(world.take().length, 9);
    await world.clock.advance(10_000);
    assert.equal(world.take().length, 2);
  });

  test("without bind events there is no rest, nor while another process changes pins", async () => {
    const world = await running();
    await world.clock.advance(20_000);
    world.take();
    world.changes++;
    await world.clock.advance(1_000);
    assert.deepEqual(world.take(), ["read host", "invalidate"]);
    world.reconciler.binds = null;
    await world.clock.advance(5_000);
    assert.equal(world.take().length, 5);
  });

  test("after bind(): the process, then the host once", async () => {
    const world = await running();
    world.reconciler.addBinds(new Set([7]), 0);
    await world.clock.advance(500);
    assert.deepEqual(world.take(), ["read 7", "read 7", "read 7", "read 7", "read host"]);
  });

  test("after a bind, more are permitted; if some were missed, the host is polled", async () => {
    const world = await running();
    world.reconciler.addBinds(new Set([7]), 0);
    await world.clock.advance(500);
    world.take();
    assert.equal(world.permits, 1);
    world.missed = 5;
    world.reconciler.addBinds(new Set([7]), 0);
    await world.clock.advance(500);
    assert.deepEqual(world.take(), ["read host", "read host"]);
    assert.equal(world.permits, 2);
  });

  test("after bind() the host only, if a service holds", async () => {
    const world = await running({ hold: { timeMs: 1_000, max: 16 } });
    world.reconciler.addBinds(new Set([7]), 0);
    await world.clock.advance(500);
    assert.deepEqual(world.take(), Array(5).fill("read host"));
  });

  test("a bind during a read of the host is polled for at once, and the host not twice", async () => {
    const world = await running();
    world.readMs = 300;
    world.reconciler.pollNow();
    await world.clock.advance(5);
    world.reconciler.addBinds(new Set([7]), 0);
    await world.clock.advance(15);
    assert.deepEqual(world.take(), ["read host", "read 7", "read 7", "read 7"]);
    world.due = ["a"];
    await world.clock.advance(270);
    assert.deepEqual(world.take(), ["read 7", "refresh a"]);
    await world.clock.advance(300);
    assert.deepEqual(world.take(), [], "the next read of the host waits for half of the time");
    await world.clock.advance(20);
    assert.deepEqual(world.take(), ["read host"]);
  });

  test("take at most half of the time", async () => {
    const world = await running();
    world.readMs = 100;
    world.holdDueMs = 0;
    await world.clock.advance(10_000);
    const { length } = world.take();
    assert.ok(length > 40 && length <= 50, String(length));
  });

  test("a hold is polled for when it is due", async () => {
    const world = await running();
    world.holdDueMs = world.clock.now() + 1_250;
    await world.clock.advance(1_000);
    world.take();
    await world.clock.advance(249);
    assert.deepEqual(world.take(), []);
    world.holdDueMs = null;
    await world.clock.advance(1);
    assert.deepEqual(world.take(), ["read host"]);
  });
});

describe("work", () => {
  test("is done in slices, between which the lock is free and a bind is polled for", async () => {
    const world = await running();
    world.due = ["a", "b", "c", "d", "e"];
    world.refreshMs = 6;
    world.reconciler.pollNow();
    await world.clock.advance(0);
    assert.deepEqual(world.take(), ["read host", "refresh a", "refresh b"]);
    world.reconciler.addBinds(new Set([7]), 0);
    await world.clock.advance(1);
    assert.deepEqual(world.take(), ["read 7", "refresh c", "refresh d"]);
    await world.clock.advance(1);
    assert.deepEqual(world.take().at(-1), "refresh e");
  });

  test("a new group is taken on after a read of the host; managed ones do not wait for that", async () => {
    const world = await running();
    world.readMs = 1;
    world.due = ["a"];
    world.listening = [NAME];
    world.reconciler.addBinds(new Set([7]), 0);
    await world.clock.advance(3);
    assert.deepEqual(world.take(), ["read 7", "refresh a", "read host", `take on ${NAME}`]);
    await world.clock.advance(3);
    assert.deepEqual(world.take(), ["read 7"]);
  });

  test("a group that detach took is left alone; the last one releases the sidecar", async () => {
    const world = await running();
    world.listening = [NAME];
    world.reconciler.pollNow();
    await world.clock.advance(0);
    assert.equal(world.take().at(-1), `take on ${NAME}`);
    world.detached = [NAME];
    world.changes++;
    await world.clock.advance(1_000);
    assert.equal(world.released, 1);
    assert.deepEqual([...world.managed], []);
  });

  test("reconcile() does all of it in one slice", async () => {
    const world = new World();
    world.due = ["a", "b", "c", "d", "e"];
    world.refreshMs = 100;
    await world.reconciler.reconcile();
    assert.equal(world.take().filter((did) => did.startsWith("refresh")).length, 5);
    assert.equal(world.isHeld, false);
  });

  test("other services drop the pass under way, as they may own its groups", async () => {
    const world = await running();
    world.due = ["a", "b"];
    world.refreshMs = 20;
    world.reconciler.pollNow();
    await world.clock.advance(0);
    assert.deepEqual(world.take(), ["read host", "refresh a"]);
    world.reconciler.replaceServices([world.service()]);
    await world.clock.advance(500);
    assert.deepEqual(world.take(), []);
  });
});

describe("a lock that is taken", () => {
  test("is waited for while the event loop turns; each try reads the host anew", async () => {
    const world = await running();
    world.isLocked = true;
    world.due = ["a"];
    world.reconciler.pollNow();
    await world.clock.advance(500);
    assert.deepEqual(world.log, []);
    const reads = world.take();
    assert.ok(reads.length >= 10 && reads.every((did) => did === "read host"), reads.join());
    world.isLocked = false;
    await world.clock.advance(100);
    assert.equal(world.take().filter((did) => did === "refresh a").length, 1);
  });

  test("is logged once if it lasts", async () => {
    const world = await running();
    world.isLocked = true;
    world.due = ["a"];
    world.reconciler.pollNow();
    await world.clock.advance(20_000);
    assert.equal(world.log.length, 1, world.log.join("\n"));
    assert.match(world.log[0] ?? "", /holds the lock; trying again/);
  });
});

test("an error is logged once, and the next poll is made all the same", async () => {
  const world = await running();
  world.failure = new Error("no memory");
  await world.clock.advance(3_000);
  assert.deepEqual(world.log, ["no memory"]);
  world.failure = null;
  world.due = ["a"];
  world.take();
  await world.clock.advance(1_000);
  assert.deepEqual(world.take(), ["read host", "refresh a"]);
});

test("after two seconds without a pass, every 200 ms, holds fail open", async () => {
  const world = await running();
  world.failure = new Error("too many open files");
  await world.clock.advance(1_000 + 1_900);
  assert.ok(!world.did.includes("fail open"));
  await world.clock.advance(400);
  assert.ok(world.did.includes("fail open"));
  assert.ok(world.did.filter((it) => it === "read host").length >= 10);
  world.failure = null;
  await world.clock.advance(400);
  world.take();
  world.failure = new Error("too many open files");
  await world.clock.advance(1_000 + 1_000);
  assert.ok(!world.did.includes("fail open"), "it began anew");
});

describe("dispose", () => {
  test("ends the loop while it waits, and leaves no timer", async () => {
    const world = await running();
    world.reconciler[Symbol.dispose]();
    await world.ended;
    assert.equal(world.clock.pending, 0);
    world.reconciler.addBinds(new Set([7]), 0);
    await world.clock.advance(5_000);
    assert.deepEqual(world.take(), []);
  });

  test("in the middle of a read or of a wait for the lock: nothing is changed any more", async () => {
    for (const at of ["read", "lock"] as const) {
      const world = await running();
      world.due = ["a"];
      if (at === "read") world.readMs = 50;
      else world.isLocked = true;
      world.reconciler.pollNow();
      await world.clock.advance(5);
      world.reconciler[Symbol.dispose]();
      await world.clock.advance(100);
      await world.ended;
      assert.deepEqual(world.take(), ["read host"]);
      assert.deepEqual(world.log, []);
    }
  });
});
