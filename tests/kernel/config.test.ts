/**
 * attach --config: three namespaces, two ports, two families in one sidecar; services come and go
 * under load.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { readStatus } from "../../loader/index.ts";
import { connections } from "../helpers/load/client.ts";
import { LoadClient } from "../helpers/load/client_load.ts";
import { TestNetns } from "../helpers/net/netns.ts";
import { ConfiguredSidecar } from "../helpers/scene/configured.ts";
import { BPFFS, type Scene, scene } from "../helpers/scene/scene.ts";
import type { GroupStatus } from "../helpers/scene/status.ts";
import { ReloadingServer } from "../helpers/servers/reloading_server.ts";
import { until } from "../helpers/until.ts";

const HOSTS = ["127.0.0.1", "::1"];
/** Enough connections wait on the closing listeners that some are lost where nobody moves them. */
const STALL_MS = 100;
const RATE = 100;

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
  readonly #servers: readonly ReloadingServer[];

  private constructor(
    ports: readonly [number, number],
    namespaces: readonly TestNetns[],
    servers: readonly ReloadingServer[],
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
        const server = await ReloadingServer.start({
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

  /** Load in every namespace, from now on. */
  async load(s: Scene): Promise<Load> {
    const [port, second] = this.ports;
    const load = { port, ports: [second], hosts: HOSTS, rate: RATE, concurrency: 500, limit: 1e6 };
    const clients = await Promise.all(
      this.namespaces.map(async ({ under }) => {
        const client = await LoadClient.start({ ...load, under });
        s.defer(() => client[Symbol.dispose]());
        return client;
      }),
    );
    return new Load(clients, this.ports);
  }

  /** New listeners open, are targets where somebody manages them, and the old ones close. */
  async reload(): Promise<void> {
    await Promise.all(this.#servers.map((server) => server.reload("open")));
    await until("the new listeners are known", () => serving(2));
    await Promise.all(this.#servers.map((server) => server.reload("close")));
    await until("the old listeners are gone", () => serving(1));
  }
}

/** Clients in every namespace, and when what was done. */
class Load {
  readonly #clients: readonly LoadClient[];
  readonly #ports: readonly number[];
  readonly #phases: { readonly name: string; readonly fromMs: number; readonly toMs: number }[] =
    [];

  constructor(clients: readonly LoadClient[], ports: readonly number[]) {
    this.#clients = clients;
    this.#ports = ports;
  }

  async phase(name: string, work: () => Promise<void>): Promise<void> {
    const fromMs = Date.now();
    await work();
    this.#phases.push({ name, fromMs, toMs: Date.now() });
  }

  /** Connections in all, and those lost: by phase, of each port. */
  async stop(): Promise<{ sent: number; lost: Record<string, number[]> }> {
    const tallies = await Promise.all(this.#clients.map((client) => client.stop()));
    const losses = this.#clients.flatMap((client) => client.losses);
    const during = ({ fromMs, toMs }: { fromMs: number; toMs: number }) =>
      this.#ports.map(
        (port) =>
          losses.filter((l) => l.port === port && l.lostMs >= fromMs && l.lostMs <= toMs).length,
      );
    const lost = Object.fromEntries(this.#phases.map((phase) => [phase.name, during(phase)]));
    const accounted = Object.values(lost).flat();
    assert.equal(
      accounted.reduce((sum, count) => sum + count, 0),
      losses.length,
      "losses between the phases",
    );
    return { sent: tallies.reduce((sum, tally) => sum + connections(tally), 0), lost };
  }
}

/** Of the sandbox only: `netns: all` is the whole host. */
const cgroup = `/${(process.env["SANDBOX_CGROUP"] ?? "").split("/").at(-1)}`;

test(
  "3 namespaces x 2 ports x 2 families: services are added, changed and removed under load",
  scene(async (s) => {
    const hosts = await Hosts.start(s);
    const [first, second] = hosts.ports;
    const web = { listen: `:${first}`, cgroup, netns: "all" };
    const api = { listen: [`127.0.0.1:${second}`, `[::1]:${second}`], cgroup, netns: "all" };
    const sidecar = await ConfiguredSidecar.start(s, { web });
    assert.equal(on(first).length, 6);
    assert.equal(new Set(on(first).map(({ key }) => key.netns)).size, 3);
    assert.equal(on(second).length, 0);
    const before = identities(first);

    const load = await hosts.load(s);

    await load.phase("control", () => hosts.reload());
    await load.phase("added", async () => {
      await sidecar.change({ web, api });
      await until("all are attached", () => on(second).filter((g) => g.attached).length === 6);
      await hosts.reload();
    });
    assert.deepEqual(identities(first), before);
    assert.deepEqual([...new Set(on(second).map(({ service }) => service))], ["api"]);
    const both = [...before, ...identities(second)];

    await load.phase("changed", async () => {
      await sidecar.change({ web: { ...web, route: "newest", hold: "10s" }, api });
      await hosts.reload();
      assert.ok(on(first).every(({ route, hold }) => route === "newest" && hold?.standby));
      await sidecar.change({ web: { ...web, migrate: "any" }, api });
      await hosts.reload();
    });
    assert.deepEqual([...identities(first), ...identities(second)], both);
    const policies = on(first).map(({ migrate, route, hold }) => `${migrate} ${route} ${hold}`);
    assert.deepEqual([...new Set(policies)], ["any kernel null"]);
    assert.ok(on(second).every(({ migrate, route }) => migrate === "newest" && route === "kernel"));

    await load.phase("removed", async () => {
      await sidecar.change({ api });
      assert.equal(on(first).length, 0);
      await hosts.reload();
    });
    assert.deepEqual(identities(second), both.slice(6));

    const { sent, lost } = await load.stop();
    const { control = [], removed = [] } = lost;
    assert.deepEqual(
      [lost["added"], lost["changed"]],
      [
        [0, 0],
        [0, 0],
      ],
    );
    assert.deepEqual([control[0], removed[1]], [0, 0], "of the service that is there");
    assert.ok((control[1] ?? 0) > 0, "before it has a service connections are lost");
    assert.ok((removed[0] ?? 0) > 0, "the kernel has it back");
    await sidecar.stop();
    assert.equal(groups().length, 0);
    console.log(
      `${sent} connections, lost by port without a service: ${control[1]}, ${removed[0]}; with: 0`,
    );
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
