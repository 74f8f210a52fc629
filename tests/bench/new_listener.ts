/**
 * 9: the time from the return of listen() until the listener is a target, while the machine is
 * saturated: until the program's `control` shows another plan.
 */
import { setPriority } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { BpfMap } from "../../loader/bpf/map.ts";
import { obtain } from "../../loader/bpf/pin.ts";
import { findBpffs, PinTree } from "../../loader/bpf/pin_tree.ts";
import { Group } from "../../loader/group/group.ts";
import * as libc from "../../loader/sys/libc.ts";
import { socketAddress } from "../helpers/address.ts";
import { BigHost } from "../helpers/host/big_host.ts";
import { Child, TempDir } from "../helpers/host/child.ts";
import { SidecarProcess } from "../helpers/product/sidecar.ts";
import { Nginx } from "../helpers/servers/nginx.ts";
import { alone, type Figure, quantile } from "./figures.ts";
import type { Question } from "./question.ts";

const PORT = 20_009;
const LISTENERS = 8;
const ARRIVALS = 110;
/**
 * Mean time between arrivals; random, so that polls of the sidecar fall before, into and after one.
 */
const EVERY_MS = 120;
/** Arrivals before all of them leave again, as groups have few slots. */
const BATCH = 40;
/** How long the sidecar may take to see every change. */
const SETTLE_MS = 2_500;
/** A listener that is not a target after this time is an error. */
const PATIENCE_MS = 5_000;
const TAKE_ON_MS = 60_000;
/** Niceness of this process, the clock: its own scheduling delay must not be measured. */
const CLOCK_NICE = -15;
/** Clients that keep two processors busy with the server of one group. */
const LOAD = ["--threads", "2", "--connections", "64", "--duration", "120"];

export const question: Question = {
  number: 9,
  name: "new_listener",
  title: `from listen() to target under load, ${ARRIVALS} arrivals`,
  reference: "",

  async measure(): Promise<Figure[]> {
    const figures: Figure[] = [];
    for (const groups of [1, 200]) {
      const tookMs = await measure(groups);
      const label = groups === 1 ? "1 group" : `${groups} groups`;
      figures.push(
        alone(tookMs, { label: `${label}, median`, unit: "ms" }),
        alone([quantile(tookMs, 0.99)], { label: `${label}, p99`, unit: "ms", atMost: 20 }),
      );
    }
    return figures;
  },
};

/** Returns the time of each arrival, ms. */
async function measure(groups: number): Promise<number[]> {
  await using _nginx = await Nginx.start({ port: PORT, workers: 2 });
  await using _sidecar = await SidecarProcess.attach(`:${PORT}`, "--route", "newest", "--wait");
  using host = new BigHost();
  await host.groups(PORT, 0, groups, LISTENERS);
  const pinTree = new PinTree(findBpffs());
  await managed(pinTree, groups + 1);
  using directory = new TempDir();
  const url = `http://127.0.0.1:${PORT}/`;
  await using _load = new Child("wrk", [...LOAD, url], directory.file("wrk"));
  setPriority(CLOCK_NICE); // after the other processes have started, which would inherit it
  await sleep(SETTLE_MS);
  const names = pinTree.groups().filter((name) => !name.includes("127_0_0_1"));
  const tookMs: number[] = [];
  while (tookMs.length < ARRIVALS) {
    const open: number[] = [];
    for (let i = 0; i < BATCH && tookMs.length < ARRIVALS; i++) {
      const name = names[tookMs.length % names.length] ?? "";
      const { fd, ms } = await arrive(pinTree, name);
      open.push(fd);
      tookMs.push(ms);
      await sleep(EVERY_MS * (0.5 + Math.random()));
    }
    // They leave while nothing is measured, as that changes plans too.
    for (const fd of open) libc.close(fd);
    await sleep(SETTLE_MS);
  }
  setPriority(0);
  return tookMs;
}

/** Waits until the sidecar has attached to `groups` groups. */
async function managed(pinTree: PinTree, groups: number): Promise<void> {
  for (let waited = 0; pinTree.groups().length < groups; waited += 100) {
    if (waited > TAKE_ON_MS) throw new Error(`the sidecar has not attached to ${groups} groups`);
    await sleep(100);
  }
}

/** Listens in a group; returns the time until a plan with the listener is in force. */
async function arrive(pinTree: PinTree, name: string): Promise<{ fd: number; ms: number }> {
  const directory = pinTree.directory(name);
  using group = Group.open(directory);
  using control = new BpfMap(obtain(join(directory, "control")));
  const before = control.lookup(0);
  const { address, port } = group.record.key;
  const fd = libc.socket(libc.AF_INET, libc.SOCK_STREAM | libc.SOCK_NONBLOCK, 0);
  libc.setsockopt(fd, libc.SOL_SOCKET, libc.SO_REUSEPORT, 1);
  const cookie = libc.getsockopt(fd, libc.SOL_SOCKET, libc.SO_COOKIE, 8).readBigUInt64LE();
  libc.bind(fd, socketAddress(address, port));
  libc.listen(fd, 16);
  const begin = performance.now();
  const clock = new Int32Array(new SharedArrayBuffer(4));
  while (before && control.lookup(0)?.equals(before)) {
    Atomics.wait(clock, 0, 0, 0.2);
    if (performance.now() - begin > PATIENCE_MS)
      throw new Error(`${name}: the listener is not a target after ${PATIENCE_MS} ms`);
  }
  const ms = performance.now() - begin;
  const known = group.slots().some(({ slot }) => slot.cookie === cookie);
  if (!known) throw new Error(`${name}: the plan changed without the new listener`);
  return { fd, ms };
}
