/**
 * Pins of a real group with wrong types, sizes and contents: every command ends in its result, or in
 * one of our errors; nothing is left open. Root, in the sandbox.
 */
import assert from "node:assert/strict";
import { after } from "node:test";
import { exitCode } from "../../cli/process/exit.ts";
import { PinTree } from "../../loader/bpf/pin_tree.ts";
import type { Listener } from "../../loader/core/listener.ts";
import { parseSpec } from "../../loader/core/spec.ts";
import { Group } from "../../loader/group/group.ts";
import { changePolicy, detach, drain, readStatus, release, Sidecar } from "../../loader/index.ts";
import { takeOnGroup } from "../../loader/manage/take_on.ts";
import { Observer } from "../../loader/observe/observer.ts";
import { groupStatus } from "../../loader/operate/status.ts";
import { boottimeMs } from "../../loader/sys/libc.ts";
import { openFds } from "../helpers/host/fds.ts";
import { BPFFS, PLAIN, Scene } from "../helpers/scene/scene.ts";
import { fuzz } from "./fuzz.ts";
import { type Change, changesOf, PinnedState } from "./pinned_state.ts";

const scene = new Scene("127.0.0.1", "127.0.0.1");
after(() => scene.end());
const owner = await scene.process();
for (let i = 0; i < 3; i++) await scene.listener({}, owner);
const specs = [parseSpec(scene.spec)];
const OPTIONS = { ...PLAIN, specs, hold: { timeMs: 5_000, max: 10 } };
const MANAGE = { migrate: "newest", route: "newest", replace: false } as const;

/** Attaches, and leaves the group without a sidecar. */
async function attach(): Promise<string> {
  const sidecar = new Sidecar(OPTIONS, () => {});
  await sidecar.start();
  await sidecar.close({ keep: true });
  const [name = ""] = new PinTree(BPFFS).groups();
  return name;
}

const name = await attach();
const tree = new PinTree(BPFFS);
const observer = new Observer();
after(() => observer[Symbol.dispose]());
const { groups, queues } = observer.read();
const members: readonly Listener[] = groups.get(name) ?? [];
assert.equal(members.length, 3);

let state = new PinnedState(tree.directory(name));
after(() => state[Symbol.dispose]());
const context = { members, queues, sidecar: null, countsRuns: true };

/** Returns whether it was done; a failure must be one of our errors. */
async function done(work: () => unknown): Promise<boolean> {
  try {
    await work();
    return true;
  } catch (error) {
    assert.notEqual(exitCode(error), 1, `not one of our errors: ${(error as Error).stack}`);
    return false;
  }
}

/** What commands do with one group, without reading the host again. @throws AbiMismatchError */
function status(): void {
  using group = Group.open(tree.directory(name));
  JSON.stringify(groupStatus(group, context), (_, it) => (typeof it === "bigint" ? `${it}` : it));
}

/** @param hold whether it also opens a standby, for which it starts a process */
function takeOver(hold: boolean): void {
  const match = { name, service: "web", members };
  const [managed] = takeOnGroup(tree, match, { ...MANAGE, hold: hold ? OPTIONS.hold : null });
  using _managed = managed;
  managed.refresh(members, queues);
  assert.ok((managed.hold.dueMs(boottimeMs()) ?? 0) < boottimeMs() + 1e7);
  managed.invalidate();
  managed.refresh(members, queues);
  managed.leave(members);
}

function show(changes: readonly Change[]): string {
  return changes
    .map((it) => JSON.stringify("map" in it ? { ...it, value: it.value.toString("hex") } : it))
    .map((text) => (text.length > 500 ? `${text.slice(0, 500)}...` : text))
    .join("\n");
}

let inputs = 0;
let first: string[] | null = null;

function account(): void {
  if (++inputs % 100 !== 0) return;
  const now = openFds();
  first ??= now;
  assert.ok(now.length <= first.length + 2, `${first.join("\n")}\nthen:\n${now.join("\n")}`);
}

fuzz("pins of a group", {
  make: (random) => ({ changes: changesOf(random, state), hold: random.oneIn(50) }),
  outcomes: ["used", "replaced"],
  show: ({ changes }) => show(changes),
  async check({ changes, hold }) {
    try {
      state.apply(changes);
      const isRead = await done(status);
      takeOver(hold); // whatever is pinned
      return isRead ? "used" : "replaced";
    } finally {
      state.restore();
      account();
    }
  },
});

/** The commands as a whole: they read the host, and `detach` removes what was changed. */
const COMMANDS: readonly (() => unknown)[] = [
  () => readStatus({ bpffs: BPFFS }),
  () => changePolicy(specs, { route: "kernel" }, { bpffs: BPFFS }),
  () => drain(specs, { generation: 1 }, { bpffs: BPFFS, force: true }),
  async () => {
    const sidecar = new Sidecar({ ...OPTIONS, replace: true }, () => {});
    try {
      await sidecar.start();
    } finally {
      await sidecar.close({ keep: true });
    }
  },
];

fuzz("pins of a group, whole commands", {
  make: (random) => changesOf(random, state),
  outcomes: ["used", "refused"],
  oneFor: 100,
  shrinks: false,
  show,
  async check(changes) {
    const results: boolean[] = [];
    state.apply(changes);
    for (const command of COMMANDS) results.push(await done(command));
    await done(() => release(specs, { bpffs: BPFFS })); // mostly nothing is held
    await detach({ all: true, bpffs: BPFFS });
    assert.deepEqual(tree.groups(), [], "detach --all left a group");
    assert.equal(
      observer
        .read()
        .groups.get(name)
        ?.some(({ programId }) => programId !== null),
      false,
    );
    state[Symbol.dispose]();
    await attach();
    state = new PinnedState(tree.directory(name));
    account();
    return results.every((it) => it) ? "used" : "refused";
  },
});
