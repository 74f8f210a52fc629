/** attach --config: three namespaces, two ports, two families in one sidecar; services come and go under load. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { readStatus } from "../../loader/index.ts";
import { connections, lost } from "../helpers/client.ts";
import { LoadClient } from "../helpers/client_load.ts";
import { ConfiguredSidecar } from "../helpers/configured.ts";
import { EchoServer } from "../helpers/echo.ts";
import { TestNetns } from "../helpers/netns.ts";
import { BPFFS, type Scene, scene } from "../helpers/scene.ts";
import type { GroupStatus } from "../helpers/status.ts";
import { until } from "../helpers/until.ts";

const HOSTS = ["127.0.0.1", "::1"];
/** Enough connections wait on the closing listeners that some are lost where nobody moves them. */
const STALL_MS = 40;
const RATE = 400;

const groups = () => readStatus({ bpffs: BPFFS }).groups;
const on = (port: number) => groups().filter((group) => group.key.port === port);
/** What must stay as it is when others change: which program, how often attached. */
const identity = (group: GroupStatus) => [group.name, group.programId, group.attachments];
const identities = (port: number) => on(port).map(identity).toSorted();

/** So many listeners are known in each group, the standby left out. */
const serving = (count: number) =>
  groups().every(({ listeners }) => listeners.filter(({ slot }) => slot !== null).length === count);

/** Servers and clients in three namespaces, on two ports of two families. */
class Hosts {
  readonly ports: readonly [number, number];
  readonly namespaces: readonly TestNetns[];
  readonly #servers: readonly EchoServer[];

  private constructor(
    ports: readonly [number, number],
    namespaces: readonly TestNetns[],
    servers: readonly EchoServer[],
  ) {
    this.ports = ports;
    this.namespaces = namespaces;
    this.#servers = servers;
  }

  static async start(s: Scene): Promise<Hosts> {
    const ports = [s.port, s.port + 1] as const;
    const namespaces = await Promise.all(Array.from({ length: 3 }, () => TestNetns.make(s)));
    const servers = await Promise.all(
      namespaces.map(async ({ under }) => {
        const server = await EchoServer.start({
          port: ports[0],
          ports: [ports[1]],
          hosts: HOSTS,
          listeners: 1,
          stallMs: STALL_MS,
          under,
        });
        s.defer(() => server[Symbol.dispose]());
        return server;
      }),
    );
    return new Hosts(ports, namespaces, servers);
  }

  /** Load in every namespace while `work` runs: connections and losses by port. */
  async loaded(s: Scene, work: () => Promise<void>): Promise<{ sent: number; lost: number[] }> {
    const [port, second] = this.ports;
    const load = { port, ports: [second], hosts: HOSTS, rate: RATE, concurrency: 500, limit: 1e6 };
    const clients = await Promise.all(
      this.namespaces.map(async ({ under }) => {
        const client = await LoadClient.start({ ...load, under });
        s.defer(() => client[Symbol.dispose]());
        return client;
      }),
    );
    await work();
    const tallies = await Promise.all(clients.map((client) => client.stop()));
    const losses = clients.flatMap((client) => client.losses);
    assert.equal(
      tallies.reduce((sum, tally) => sum + lost(tally), 0),
      losses.length,
    );
    return {
      sent: tallies.reduce((sum, tally) => sum + connections(tally), 0),
      lost: this.ports.map((each) => losses.filter((loss) => loss.port === each).length),
    };
  }

  /** New listeners open, are targets where somebody manages them, and the old ones close. */
  async reload(): Promise<void> {
    await Promise.all(this.#servers.map((server) => server.reload("open")));
    await until("the new listeners are known", () => serving(2));
    await Promise.all(this.#servers.map((server) => server.reload("close")));
    await until("the old listeners are gone", () => serving(1));
  }
}

/** Of the sandbox only: `netns: all` is the whole host. */
const cgroup = `/${(process.env["SANDBOX_CGROUP"] ?? "").split("/").at(-1)}`;

test(
  "3 namespaces x 2 ports x 2 families: services are added, changed and removed under load",
  scene(async (s) => {
    const hosts = await Hosts.start(s);
    const [first, second] = hosts.ports;
    const web = { listen: `:${first}`, cgroup };
    const api = { listen: [`127.0.0.1:${second}`, `[::1]:${second}`], cgroup, netns: "all" };
    const sidecar = await ConfiguredSidecar.start(s, { web });
    assert.equal(on(first).length, 6);
    assert.equal(new Set(on(first).map(({ key }) => key.netns)).size, 3);
    assert.equal(on(second).length, 0);
    const before = identities(first);

    const control = await hosts.loaded(s, () => hosts.reload());
    assert.equal(control.lost[0], 0, "of the managed port");
    assert.ok((control.lost[1] ?? 0) > 0, "without a service connections are lost");

    const added = await hosts.loaded(s, async () => {
      await sidecar.change({ web, api });
      await until("all are attached", () => on(second).filter((g) => g.attached).length === 6);
      await hosts.reload();
    });
    assert.deepEqual(added.lost, [0, 0]);
    assert.deepEqual(identities(first), before);
    assert.deepEqual([...new Set(on(second).map(({ service }) => service))], ["api"]);
    const both = [...before, ...identities(second)];

    const changed = await hosts.loaded(s, async () => {
      await sidecar.change({ web: { ...web, route: "newest", hold: "10s" }, api });
      await hosts.reload();
      await sidecar.change({ web: { ...web, migrate: "any" }, api });
      await hosts.reload();
    });
    assert.deepEqual(changed.lost, [0, 0]);
    assert.deepEqual([...identities(first), ...identities(second)], both);
    const policies = new Set(
      on(first).map(({ migrate, route, hold }) => `${migrate} ${route} ${hold}`),
    );
    assert.deepEqual([...policies], ["any kernel null"]);
    assert.ok(on(second).every(({ migrate, route }) => migrate === "newest" && route === "kernel"));

    const removed = await hosts.loaded(s, async () => {
      await sidecar.change({ api });
      assert.equal(on(first).length, 0);
      await hosts.reload();
    });
    assert.equal(removed.lost[1], 0, "of the service that stays");
    assert.ok((removed.lost[0] ?? 0) > 0, "the kernel has the other one back");
    assert.deepEqual(identities(second), both.slice(6));
    await sidecar.stop();
    assert.equal(groups().length, 0);
    const sent = [control, added, changed, removed].map((phase) => phase.sent);
    console.log(`connections ${sent}, lost ${JSON.stringify([control.lost, removed.lost])}`);
  }),
);

test(
  "a bad file is refused with all its errors, and the old one stays",
  scene(async (s) => {
    const netns = await TestNetns.make(s);
    const process = await s.process(netns.under);
    await s.listener({}, process);
    const web = { listen: s.spec, netns: netns.pid };
    const sidecar = await ConfiguredSidecar.start(s, { web });
    const before = groups().map(identity);
    assert.equal(before.length, 1);

    sidecar.writeText(`metrics: off\nservices:\n  web:\n    listen: x\n    rout: newest\n`);
    await sidecar.reload();
    const errors = sidecar.log().filter(({ event }) => event === "reload_refused");
    assert.equal(errors.length, 3);
    assert.match(errors[0]?.msg ?? "", /config\.yaml:4: services\.web\.listen: 'x' is not a SPEC/);
    assert.match(errors[1]?.msg ?? "", /config\.yaml:5: services\.web\.rout: .*'route'/);
    assert.deepEqual(groups().map(identity), before);
    assert.equal(groups()[0]?.route, "kernel");

    const reloading = sidecar
      .notified()
      .filter((line) => /^(READY|RELOADING|MONOTONIC)/.test(line));
    assert.deepEqual(
      reloading.map((line) => line.replace(/USEC=\d+$/, "USEC=")),
      ["READY=1", "RELOADING=1", "MONOTONIC_USEC=", "READY=1"],
    );
    await sidecar.change({ web: { ...web, route: "newest" } });
    assert.equal(groups()[0]?.route, "newest");
    assert.deepEqual(groups().map(identity), before);
  }),
);
