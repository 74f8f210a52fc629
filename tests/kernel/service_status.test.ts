/** What the service manager is told about a sidecar, and that it is told only what is new. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { ConfiguredSidecar } from "../helpers/scene/configured.ts";
import { scene } from "../helpers/scene/scene.ts";
import { until } from "../helpers/until.ts";

/** Longer than the time between two polls at rest. */
const REST_MS = 6_000;

const statusOf = (sidecar: ConfiguredSidecar) =>
  sidecar.notified().filter((line) => line.startsWith("STATUS="));

async function says(sidecar: ConfiguredSidecar, status: RegExp): Promise<void> {
  await until(`the status is ${status}`, () => status.test(statusOf(sidecar).at(-1) ?? ""));
}

test(
  "a server that cannot be attached is named when it starts, and nothing is sent at rest",
  scene(async (s) => {
    const sidecar = await ConfiguredSidecar.start(s, { web: { listen: s.spec, wait: true } });
    await says(sidecar, /^STATUS=nothing to guard; \S+: nothing listens there/);
    const without = await s.process();
    await without.open({ address: s.address, port: s.port, reuseport: false });
    await says(
      sidecar,
      /^STATUS=nothing to guard; \S+ is not attached: .* does not set SO_REUSEPORT/,
    );
    await sidecar.logged(/is not attached: .* does not set SO_REUSEPORT/);
    await without.kill();
    await says(sidecar, /nothing listens there/);

    await s.listener();
    await says(sidecar, /^STATUS=1 group, 1 listener$/);
    await s.listener();
    await says(sidecar, /^STATUS=1 group, 2 listeners$/);
    const before = statusOf(sidecar).length;
    await sleep(REST_MS);
    assert.equal(statusOf(sidecar).length, before);

    sidecar.writeText("services: []\n");
    await sidecar.reload();
    await says(sidecar, /^STATUS=reload refused: \S+config\.yaml:1: .*; 1 group, 2 listeners$/);
    await sidecar.change({ web: { listen: s.spec } });
    await says(sidecar, /^STATUS=1 group, 2 listeners$/);
  }),
);

test(
  "a hold is in the status, and its end",
  scene(async (s) => {
    const server = await s.process();
    await s.listener({}, server);
    const sidecar = await ConfiguredSidecar.start(s, { web: { listen: s.spec, hold: "30s" } });
    await says(sidecar, /^STATUS=1 group, 1 listener$/);
    await server.kill();
    const peers = s.peers(1);
    await says(sidecar, /^STATUS=1 group, 0 listeners; holds clients of 127\.0\.0\.1:\d+$/);
    await s.listener();
    await peers;
    await says(sidecar, /^STATUS=1 group, 1 listener$/);
  }),
);
