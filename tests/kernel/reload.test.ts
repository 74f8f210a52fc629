/**
 * Sidecar.reload: what stays, what changes in place, what is given back, and what is tried again.
 */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { parseSpec, readStatus, type ServiceOptions, Sidecar } from "../../loader/index.ts";
import { TestCgroup } from "../helpers/host/cgroup.ts";
import { tally } from "../helpers/load/peer.ts";
import { adopted } from "../helpers/scene/adopting.ts";
import { BPFFS, type Scene, scene } from "../helpers/scene/scene.ts";
import { bringTo } from "../helpers/scene/stages.ts";
import { groupOf } from "../helpers/scene/status.ts";

const COUNT = 20;
const HOLD = { timeMs: 600_000, max: 4096 };

/** A service for the scene's port in the test's namespace. */
function service(s: Scene, name: string, change: Partial<ServiceOptions> = {}): ServiceOptions {
  return {
    name,
    specs: [parseSpec(s.spec)],
    netns: "/proc/self/ns/net",
    migrate: "newest",
    route: "kernel",
    wait: true,
    ...change,
  };
}

/** Attached, and looks again only when told. */
async function started(s: Scene, services: readonly ServiceOptions[]): Promise<Sidecar> {
  const sidecar = new Sidecar({ services, bpffs: BPFFS }, (event) => s.log.push(event));
  s.defer(() => sidecar.close());
  await sidecar.start();
  return sidecar;
}

const warnings = (s: Scene) =>
  s.log.filter(({ level }) => level === "warn").map(({ text }) => text);
const events = (s: Scene, name: string) => s.log.filter(({ event }) => event === name).length;

describe("a hold under way", () => {
  for (const [what, change, outcome] of [
    ["stays when its time and its limit change", { hold: { timeMs: 30_000, max: 100 } }, "served"],
    ["stays when other policy changes", { hold: HOLD, route: "newest" }, "served"],
    ["ends when the service is not to hold any more", {}, "reset"],
  ] as const) {
    test(
      what,
      scene(async (s) => {
        const last = await s.listener();
        const sidecar = await started(s, [service(s, "web", { hold: HOLD })]);
        const { peers } = await bringTo("accept queue", COUNT, s);
        await last.close();
        await sidecar.reconcile();
        assert.equal(groupOf(s.port).hold?.connections, COUNT);
        const { changed } = await sidecar.reload([service(s, "web", change)]);
        assert.deepEqual(changed, ["web"]);
        if (outcome === "served") {
          const { hold } = groupOf(s.port);
          assert.equal(hold?.connections, COUNT);
          assert.equal(hold.timeMs, change.hold.timeMs);
          assert.equal(hold.holding, true);
        }
        const next = await s.listener();
        await next.serve();
        await sidecar.reconcile();
        const served = outcome === "served" ? next.process.pid : "ECONNRESET";
        assert.deepEqual(await tally(peers), { [served]: COUNT });
      }),
    );
  }
});

test(
  "a group goes to the first service that covers it, attached as it was; what is unchanged is not touched",
  scene(async (s) => {
    await s.listener();
    const web = service(s, "web", { route: "newest" });
    const sidecar = await started(s, [web]);
    const { programId, attachments } = groupOf(s.port);
    const same = () => {
      const now = groupOf(s.port);
      assert.deepEqual(
        [now.programId, now.attachments, now.attached],
        [programId, attachments, true],
      );
      return now;
    };
    assert.deepEqual((await sidecar.reload([{ ...web }])).unchanged, ["web"]);
    assert.equal(events(s, "policy_changed"), 0);

    const first = service(s, "first");
    assert.deepEqual((await sidecar.reload([first, web])).added, ["first"]);
    assert.deepEqual([same().service, same().route], ["first", "kernel"]);
    await sidecar.reload([web]);
    assert.deepEqual([same().service, same().route], ["web", "newest"]);
    assert.deepEqual((await sidecar.reload([])).removed, ["web"]);
    assert.equal(readStatus({ bpffs: BPFFS }).groups.length, 0);
    assert.equal(events(s, "detached"), 1);
  }),
);

test(
  "a service that the kernel refuses is said and tried again; the others go on",
  scene(async (s) => {
    const foreign = await s.listener();
    await foreign.filter();
    const process = await s.process();
    const other = { address: "::1" };
    await s.listener(other, process);
    const web = service(s, "web");
    const api = service(s, "api", { specs: [parseSpec(`[::1]:${s.port}`)] });
    const sidecar = await started(s, [web, api]);
    assert.equal(groupOf(s.port).service, "api");
    assert.match(warnings(s).join(), /--replace/);
    await sidecar.reload([api, web]);
    assert.equal(warnings(s).length, 1, "said once");
    await foreign.close();
    await s.listener({}, process);
    await sidecar.reconcile();
    const services = readStatus({ bpffs: BPFFS }).groups.map((group) => group.service);
    assert.deepEqual(services.toSorted(), ["api", "web"]);
  }),
);

test(
  "what a detach took is its service's again only when that is another",
  scene(async (s) => {
    await s.listener();
    const web = service(s, "web");
    const sidecar = await started(s, [web]);
    const { detach } = await import("../../loader/index.ts");
    await detach({ specs: web.specs, bpffs: BPFFS });
    await sidecar.reload([web]);
    assert.equal(readStatus({ bpffs: BPFFS }).groups.length, 0);
    await sidecar.reload([{ ...web, route: "newest" }]);
    assert.equal(groupOf(s.port).route, "newest");
  }),
);

test(
  "an adoption changes with its service: ports that it no longer names are no longer adopted",
  scene(async (s) => {
    const cgroup = new TestCgroup(s, "adopted").create();
    const adopt = { cgroup: cgroup.path, max: 2 };
    const ports = [s.port, s.port + 1] as const;
    const of = (name: string, port: number) =>
      service(s, name, { specs: [parseSpec(`127.0.0.1:${port}`)], adopt });
    const is = (expected: Record<number, number>) =>
      assert.deepEqual(adopted()[cgroup.path], expected);
    const sidecar = await started(s, [of("a", ports[0])]);
    is({ [ports[0]]: 0 });
    await sidecar.reload([of("a", ports[0]), of("b", ports[1])]);
    is({ [ports[0]]: 0, [ports[1]]: 0 });
    await sidecar.reload([of("b", ports[1])]);
    is({ [ports[1]]: 0 });
    await sidecar.reload([]);
    assert.deepEqual(adopted(), {});
  }),
);
