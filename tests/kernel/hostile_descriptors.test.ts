/**
 * A process without free file descriptors, to which other users can bring it: whatever it does then
 * fails with EMFILE, leaves nothing open and nothing mapped, and works again afterwards.
 */
import assert from "node:assert/strict";
import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";
import { after, before, describe, test } from "node:test";
import { adopt, openAdoption, unadopt } from "../../loader/adoption/adopt.ts";
import { Lock } from "../../loader/bpf/directory_lock.ts";
import { PinTree } from "../../loader/bpf/pin_tree.ts";
import { groupName, type Listener } from "../../loader/core/listener.ts";
import { Group } from "../../loader/group/group.ts";
import { newRecord } from "../../loader/group/group_record.ts";
import { makeUnpinned } from "../../loader/group/pins.ts";
import { cgroupOf } from "../../loader/host/cgroup.ts";
import { notifyService } from "../../loader/host/sd_notify.ts";
import { detach, parseSpec, readStatus, Sidecar } from "../../loader/index.ts";
import { takeOnGroup } from "../../loader/manage/take_on.ts";
import { Waker } from "../../loader/manage/waker.ts";
import { openSocket } from "../../loader/net/connect.ts";
import { socketOptionsOf } from "../../loader/net/foreign_listener.ts";
import { KernelCounts } from "../../loader/net/kernel_migrations.ts";
import { inNetns } from "../../loader/net/netns.ts";
import { throughShortLivedListener } from "../../loader/net/short_lived_listener.ts";
import { StandbySocket } from "../../loader/net/standby_socket.ts";
import { BindEvents, EVERY_NETNS } from "../../loader/observe/bind_events.ts";
import { Observer } from "../../loader/observe/observer.ts";
import { ProcessList } from "../../loader/observe/process_list.ts";
import { ServerSockets } from "../../loader/observe/server_sockets.ts";
import { watchBinds } from "../../loader/observe/standby_binds.ts";
import { Lab } from "../../loader/selftest/lab.ts";
import { FdStore } from "../../loader/store/fd_store.ts";
import { StoreServer } from "../../loader/store/server.ts";
import { FdStoreManager } from "../../loader/store/systemd_fdstore.ts";
import { waitFor } from "../../loader/sys/blocking_wait.ts";
import * as libc from "../../loader/sys/libc.ts";
import { TestCgroup } from "../helpers/host/cgroup.ts";
import { TempDir } from "../helpers/host/child.ts";
import { pins } from "../helpers/host/fds.ts";
import { NotifySocket } from "../helpers/host/notify_socket.ts";
import { held, withFreeFds } from "../helpers/hostile/descriptors.ts";
import { TestNetns } from "../helpers/net/netns.ts";
import { StoreProcess } from "../helpers/product/store.ts";
import { BPFFS, PLAIN, Scene } from "../helpers/scene/scene.ts";
import { until } from "../helpers/until.ts";

/** Numbers of free descriptors that are tried in any case, and at most. */
const LEAST = 12;
const MOST = 64;

const s = new Scene("127.0.0.1", "127.0.0.1");
const pinTree = new PinTree(BPFFS);
const policy = { migrate: "newest", route: "kernel", replace: false } as const;
const held10s = { ...policy, hold: { timeMs: 10_000, max: 100 } } as const;

/** Members of a pinned group, of one that is not, and of one in another namespace. */
let pinned: readonly Listener[];
let other: readonly Listener[];
let away: readonly Listener[];
let name: string;
let group: Group;
let cgroup: TestCgroup;
let store: StoreProcess;
let client: Socket;
const server = createServer();
const dir = new TempDir();
const manager = new NotifySocket(dir.file("manager"));
const failed = (error: unknown) => assert.fail(String(error));
const file = (base: string) => dir.file(base);

function membersOf(address: string, netns?: number): readonly Listener[] {
  using observer = new Observer();
  const all = observer.read().listeners.filter(({ key }) => key.port === s.port);
  return all.filter(
    ({ key }) => key.address === address && (netns === undefined || key.netns === netns),
  );
}

before(async () => {
  await s.listener();
  await s.listener({ address: "127.0.0.2" });
  const netns = await TestNetns.make(s);
  await s.listener({ address: "127.0.0.3" }, await s.process(netns.under));
  await (await s.sidecar()).close({ keep: true });
  [pinned, other] = [membersOf("127.0.0.1"), membersOf("127.0.0.2")];
  away = membersOf("127.0.0.3", netns.inode);
  name = groupName(first(pinned).key);
  group = Group.open(pinTree.directory(name));
  cgroup = new TestCgroup(s, "scarce").create();
  store = await StoreProcess.start(["--timeout", "1h"]);
  await (await store.connect()).put("kept", [0, 1, 2]);
  await once(server.listen(0, "127.0.0.1"), "listening");
  client = connect((server.address() as AddressInfo).port, "127.0.0.1");
  await once(server, "connection");
});

after(async () => {
  client.destroy();
  server.close();
  group[Symbol.dispose]();
  await detach({ all: true, bpffs: BPFFS });
  await store[Symbol.asyncDispose]();
  await s.end();
  manager[Symbol.dispose]();
  dir[Symbol.dispose]();
});

function first(members: readonly Listener[]): Listener {
  const [listener] = members;
  assert.ok(listener);
  return listener;
}

/** Takes on a group that is not pinned, and gives it back. */
async function takeOn(members: readonly Listener[]): Promise<void> {
  using _lock = await pinTree.lock();
  const match = { name: groupName(first(members).key), service: "", members };
  const [managed] = takeOnGroup(pinTree, match, held10s);
  using _managed = managed;
  try {
    managed.wake(true, failed);
  } finally {
    const { programId } = managed.group;
    const attached = members.map((member) => ({ ...member, programId }));
    managed.detach(attached);
  }
}

/** Each one undoes what it did, if it succeeds. */
const operations: Readonly<Record<string, () => void | Promise<void>>> = {
  "open the pins of a group"() {
    using _group = Group.open(pinTree.directory(name));
  },
  "load a group without pins"() {
    using _pins = makeUnpinned(64);
  },
  async "create a group"() {
    using _lock = await pinTree.lock();
    const match = { name: "1-created", service: "", members: other };
    const directory = pinTree.makeUnfinished(match.name);
    using _group = Group.create(match.name, newRecord(match, policy), directory);
    pinTree.removeUnfinished(match.name);
  },
  "take on a new group, with a standby and a waker": () => takeOn(other),
  "take on a new group in another namespace": () => takeOn(away),
  async "take over a group"() {
    using _lock = await pinTree.lock();
    const match = { name, service: "", members: pinned };
    const [managed] = takeOnGroup(pinTree, match, held10s);
    using _managed = managed;
    managed.leave(pinned);
  },
  "refresh a group's listeners"() {
    socketOptionsOf(first(pinned));
  },
  async "take the pin tree's lock"() {
    using _lock = await pinTree.lock();
  },
  "lock a group"() {
    using _lock = new Lock(pinTree.directory(name), name);
  },
  async "adopt a cgroup"() {
    using _lock = await pinTree.lock();
    adopt(pinTree, cgroup.path, [s.port]);
    try {
      using _opened = openAdoption(pinTree, cgroup.path);
    } finally {
      unadopt(pinTree, "all", cgroup.path);
    }
  },
  "observe the host"() {
    using observer = new Observer();
    observer.read();
    observer.snapshotProcesses([process.pid]);
  },
  "open bind events"() {
    using _events = new BindEvents(
      process.env["SANDBOX_CGROUP"] ?? "",
      [{ port: s.port, netns: EVERY_NETNS }],
      () => {},
    );
  },
  "read the status"() {
    readStatus({ bpffs: BPFFS });
  },
  "read the status and keep namespaces"() {
    using counts = new KernelCounts();
    counts.read([
      { key: first(pinned).key, listeners: pinned },
      { key: first(away).key, listeners: away },
    ]);
  },
  "open a standby"() {
    const { key, uid } = first(other);
    using standby = StandbySocket.open(key, uid, {}, held10s.hold);
    standby.watch(() => {});
  },
  "open a standby in another namespace"() {
    const { key, uid } = first(away);
    using _standby = StandbySocket.open(key, uid, {}, held10s.hold);
  },
  "watch binds that a standby makes fail"() {
    watchBinds(first(other).key, 0, () => {})();
  },
  "list processes"() {
    using processes = new ProcessList();
    processes.read();
  },
  "work in another namespace"() {
    inNetns(first(away).key.netns, () => {});
  },
  "attach through a short-lived listener"() {
    const { key, uid } = first(other);
    throughShortLivedListener(key, uid, () => {});
  },
  "open a socket to a listener"() {
    libc.close(openSocket(first(away).key));
  },
  "wake destinations"() {
    using _waker = new Waker(group, () => pinned, failed);
  },
  "start a store"() {
    using _server = new StoreServer({
      path: file("own.sock"),
      limits: { names: 1, fds: 1, clients: 1 },
    });
  },
  async "put into a store"() {
    using client = await FdStore.connect(store.path);
    await client.put("put", [0]);
    await client.put("put", [1], { add: true });
    await client.drop("put");
  },
  async "take from a store"() {
    using client = await FdStore.connect(store.path);
    const fds = await client.take("kept", { keep: true });
    for (const fd of fds ?? []) libc.close(fd);
    assert.equal(fds?.length, 3);
  },
  async "listen through a store"() {
    using client = await FdStore.connect(store.path);
    libc.close(await client.listen("web", `127.0.0.9:${s.port}`));
    await client.drop("web");
  },
  "find the cgroup of a process"() {
    assert.notEqual(cgroupOf(process.pid), null);
  },
  "count the connections of a server"() {
    using sockets = new ServerSockets();
    assert.equal(sockets.accepted([process.pid]), 1);
  },
  "read the listeners of a server"() {
    const { port } = server.address() as AddressInfo;
    using sockets = new ServerSockets();
    const ports = sockets.listeners([process.pid]).map(({ key }) => key.port);
    assert.ok(ports.includes(port));
  },
  "notify the service manager"() {
    notifyService("READY=1", file("manager"));
    manager.received();
  },
  "keep a deposit in the service manager"() {
    new FdStoreManager(file("manager")).keep({
      name: "web",
      fds: [0, 1],
      shared: false,
      timeoutMs: 1_000,
    });
    manager.received();
  },
  async "wait for a connection"() {
    const { key, uid } = first(other);
    using standby = StandbySocket.open(key, uid, {}, held10s.hold);
    let waiting: Promise<boolean> | null = null;
    standby.place((fd) => {
      waiting = waitFor(fd, "epoll_wait", 10).woken;
    });
    await waiting;
  },
  async "start the lab"() {
    using lab = await Lab.start();
    await lab.call("open", { port: 0, defer: false });
  },
  async "run a sidecar"() {
    const options = { ...PLAIN, ...held10s, wake: "always" } as const;
    const sidecar = new Sidecar({ ...options, specs: [parseSpec(`127.0.0.2:${s.port}`)] });
    try {
      await sidecar.start();
      sidecar.watch();
      await sidecar.reconcile();
      await sidecar.status();
    } finally {
      await sidecar.close();
    }
  },
};

/** The messages that say that a descriptor is missing. */
const REASON = /EMFILE|too few free file descriptors/;

/** What is open, mapped, pinned and attached. */
function state(): string[] {
  // The pin tree's next lock removes what is unfinished.
  const finished = pins(BPFFS).filter((path) => !path.includes("/new-"));
  return [...held(), ...finished, ...attached()];
}

function attached(): string[] {
  using observer = new Observer();
  const listeners = observer.read().listeners.filter(({ key }) => key.port === s.port);
  return listeners.map(({ cookie, programId }) => `${cookie} runs ${programId}`);
}

describe("without a free descriptor", () => {
  for (const [what, operation] of Object.entries(operations)) {
    test(`${what}: nothing stays open`, async () => {
      await operation(); // what Node and libbpf open once and keep
      const problems: string[] = [];
      let free = 0;
      for (let works = false; !works || free <= LEAST; free++) {
        const expected = state();
        const found = await withFreeFds(free, async () => {
          try {
            await operation();
            return null;
          } catch (error) {
            return error as Error;
          }
        });
        works = found === null;
        if (found && !REASON.test(found.message)) problems.push(`${free} free: ${found.stack}`);
        const left = () => state().filter((it) => !expected.includes(it));
        await until("it is as before", () => left().length === 0).catch(() => {
          problems.push(`${free} free: left ${left().join()}`);
        });
        assert.ok(free < MOST, `it still fails: ${found?.stack}`);
      }
      assert.deepEqual(problems, []);
      await operation();
    });
  }
});
