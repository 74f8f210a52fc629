/**
 * A sidecar with the unit's capabilities, and a local user with a network namespace of their own:
 * that namespace cannot be entered, which concerns no other group.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { readStatus } from "../../loader/index.ts";
import { type HostileKind, HostileListeners } from "../helpers/hostile/listeners.ts";
import { AS_NOBODY } from "../helpers/hostile/nobody.ts";
import { SidecarProcess } from "../helpers/product/sidecar.ts";
import { BPFFS, type Scene, scene } from "../helpers/scene/scene.ts";
import { groupOf } from "../helpers/scene/status.ts";
import { until } from "../helpers/until.ts";
import { UnitFile } from "../install/unit_file.ts";

const UNIT = new UnitFile(
  fileURLToPath(new URL("../../../deploy/reuseport-migrate.service", import.meta.url)),
);
const AS_UNIT = [
  "setpriv",
  `--bounding-set=${UNIT.boundingSet()}`,
  "--inh-caps=-all",
  "--no-new-privs",
  "--",
];
/** Root in a user namespace: it may make network namespaces, and bind every port in them. */
const IN_OWN_NETNS = [
  ...AS_NOBODY,
  "unshare",
  "-Urn",
  "sh",
  "-ec",
  'ip link set lo up; exec "$@"',
  "sh",
];

const attached = () => readStatus({ bpffs: BPFFS }).groups.filter((group) => group.attached);

const CASES: readonly (readonly [HostileKind, readonly string[]])[] = [
  ["plain", ["--hold", "5s"]],
  ["plain", ["--migrate", "observe"]],
  ["mptcp", []],
];

async function hostile(s: Scene, kind: HostileKind): Promise<HostileListeners> {
  const found = await HostileListeners.start(kind, s.port, 1, IN_OWN_NETNS);
  s.defer(() => found[Symbol.asyncDispose]());
  return found;
}

for (const [kind, options] of CASES) {
  const command = (s: Scene, ...wait: string[]) => [
    `:${s.port}`,
    "--netns",
    "all",
    ...options,
    ...wait,
  ];
  const what = `${kind} listener of a user namespace, ${options.join(" ") || "no options"}`;

  for (const wait of [[], ["--wait"]]) {
    test(
      `${what}, ${wait.join("") || "no --wait"}: root's group is attached, the other is named`,
      scene(async (s) => {
        await s.listener();
        const attacker = await hostile(s, kind);
        await using sidecar = await SidecarProcess.attachUnder(AS_UNIT, ...command(s, ...wait));
        assert.deepEqual(
          attached().map(({ key }) => key.address),
          ["127.0.0.1"],
        );
        const [warning = "", ...more] = sidecar.warnings();
        assert.deepEqual(more, []);
        assert.match(warning, new RegExp(`pid ${attacker.pid}, uid 65534\\) is not attached`));
        assert.match(warning, /cannot be entered: .* CAP_SYS_ADMIN/);
        assert.match(await sidecar.metrics(), /refused_groups\{reason="namespace"\} 1/);
        await sidecar.stop();
      }),
    );
  }

  test(
    `${what}, while a sidecar runs: root's group stays, and new listeners become targets`,
    scene(async (s) => {
      await s.listener();
      await using sidecar = await SidecarProcess.attachUnder(AS_UNIT, ...command(s));
      await hostile(s, kind);
      await until("the other group is named", () => sidecar.warnings().length === 1);
      await s.listener();
      await until("the new listener is a target", () => {
        const own = attached().filter(({ key }) => key.address === "127.0.0.1");
        const targets = own.flatMap(({ listeners }) =>
          listeners.filter(({ role }) => role === "target"),
        );
        return targets.length === 2;
      });
      await sidecar.stop();
    }),
  );
}

test(
  "nothing but that listener: attach says why and exits, with --wait it waits for another",
  scene(async (s) => {
    await hostile(s, "plain");
    const options = [`:${s.port}`, "--netns", "all", "--hold", "5s"];
    await assert.rejects(
      SidecarProcess.attachUnder(AS_UNIT, ...options),
      /ended \(5\).*CAP_SYS_ADMIN/s,
    );
    await using sidecar = await SidecarProcess.attachUnder(AS_UNIT, ...options, "--wait");
    await s.listener();
    await until("the group of root is attached", () => attached().length === 1);
    assert.equal(groupOf(s.port).key.address, "127.0.0.1");
    await sidecar.stop();
  }),
);
