/** Pins that this version cannot use: commands say so, a sidecar replaces them, detach removes them. */
import assert from "node:assert/strict";
import { mkdirSync, rmSync } from "node:fs";
import { describe, test } from "node:test";
import { adoptionName } from "../../loader/adoption/adopt.ts";
import { obtain, pin } from "../../loader/bpf/pin.ts";
import { cpuNumbers } from "../../loader/bpf/possible_cpus.ts";
import { LAYOUT } from "../../loader/core/abi.ts";
import { groupShapes } from "../../loader/core/map_shapes.ts";
import { Group } from "../../loader/group/group.ts";
import { ABI_VERSION, AbiMismatchError } from "../../loader/index.ts";
import { close } from "../../loader/sys/libc.ts";
import { TestCgroup } from "../helpers/host/cgroup.ts";
import { runCli } from "../helpers/product/cli.ts";
import { changeRecord, setAbi } from "../helpers/scene/pinned_record.ts";
import { BPFFS, type Scene, scene } from "../helpers/scene/scene.ts";
import { groupOf, programOn } from "../helpers/scene/status.ts";

describe("pinned state that this version cannot use", () => {
  /** The pins of a group without a sidecar. */
  async function pinned(s: Scene): Promise<string> {
    await s.listener();
    await (await s.sidecar()).close({ keep: true });
    return `${BPFFS}/reuseport-migrate/${groupOf(s.port).name}`;
  }

  /** Commands must name every difference, and a sidecar must replace the pins. */
  async function replaced(s: Scene, directory: string, ...differences: RegExp[]): Promise<void> {
    const listed = (error: Error) => {
      assert.ok(error instanceof AbiMismatchError, String(error));
      assert.equal(error.differences.length, differences.length, error.message);
      for (const difference of differences) assert.match(error.message, difference);
      return true;
    };
    assert.throws(() => Group.open(directory), listed);
    const status = await runCli(["status"]);
    assert.match(status.stderr + status.stdout, /of another version of reuseport-migrate/);
    const before = programOn(s.port);
    await s.sidecar();
    const { attached, programId, listeners } = groupOf(s.port);
    assert.equal(attached, true);
    assert.notEqual(programId, before);
    assert.deepEqual(
      listeners.map(({ role }) => role),
      ["target"],
    );
  }

  async function detached(s: Scene): Promise<void> {
    const detach = await runCli(["detach", "--all"]);
    assert.equal(detach.code, 0, detach.stderr);
    assert.equal(programOn(s.port), null);
  }

  test(
    "other and missing maps: all are listed",
    scene(async (s) => {
      const { control } = groupShapes(64, cpuNumbers());
      const directory = await pinned(s);
      rmSync(`${directory}/plans`);
      rmSync(`${directory}/control`);
      pinAs(`${directory}/slots`, `${directory}/control`);
      await replaced(
        s,
        directory,
        /map plans is missing/,
        new RegExp(`map control has value ${LAYOUT.rm_slot.size}, not ${control.value}\\b`),
        /map control has entries 64, not 1/,
        /map control has flags 0, not 1024/,
      );
    }),
  );

  for (const version of [ABI_VERSION - 1, ABI_VERSION + 1]) {
    test(
      `ABI ${version}`,
      scene(async (s) => {
        const directory = await pinned(s);
        setAbi(directory, version);
        await replaced(s, directory, new RegExp(`pinned by ABI ${version}, not ${ABI_VERSION}`));
        const text = new RegExp(`^took over .* from another version \\(ABI ${version}; counters`);
        assert.ok(s.log.some((it) => it.event === "taken_over" && text.test(it.text)));
      }),
    );
  }

  // What follows was found by `make fuzz`.
  test(
    "a record of another group, or of more slots than there are",
    scene(async (s) => {
      const { port, slots } = LAYOUT.rm_group.members;
      const directory = await pinned(s);
      changeRecord(directory, (value) => {
        value.writeUInt16LE(s.port + 1, port);
        value.writeUInt32LE(128, slots);
      });
      const name = new RegExp(`its record is of the group \\S+-${s.port + 1}\\b`);
      await replaced(s, directory, name, /its record has 128 slots, not 64/);
    }),
  );

  test(
    "directories, and objects of another kind",
    scene(async (s) => {
      const directory = await pinned(s);
      for (const pin of ["plans", "control"]) rmSync(`${directory}/${pin}`);
      mkdirSync(`${directory}/plans`);
      pinAs(`${directory}/program`, `${directory}/control`);
      await replaced(
        s,
        directory,
        /map plans is missing/,
        /control has type/,
        /key/,
        /value/,
        /entries/,
        /flags/,
      );
    }),
  );

  for (const instead of ["slots", null]) {
    const title = `${instead ? `the map ${instead}` : "nothing"} as the program, known by its name`;
    const spoil = async (s: Scene) => {
      const directory = await pinned(s);
      rmSync(`${directory}/program`);
      if (instead) pinAs(`${directory}/${instead}`, `${directory}/program`);
      return directory;
    };
    test(
      `${title}: replaced`,
      scene(async (s) => {
        const text = instead ? /program is not select_listener/ : /program is missing/;
        await replaced(s, await spoil(s), text);
      }),
    );
    test(
      `${title}: detached`,
      scene(async (s) => {
        await spoil(s);
        await detached(s);
      }),
    );
  }

  test(
    "an adoption with a map as its link",
    scene(async (s) => {
      await s.listener();
      const { path } = new TestCgroup(s, "app").create();
      const command = ["attach", s.spec, "--adopt", "--cgroup", path, "--once"];
      assert.equal((await runCli(command)).code, 0);
      const directory = `${BPFFS}/reuseport-migrate/${adoptionName(path)}`;
      rmSync(`${directory}/bind6`);
      pinAs(`${directory}/ports`, `${directory}/bind6`);
      const status = await runCli(["status"]);
      assert.match(status.stderr + status.stdout, /bind6 is missing, or no link of a cgroup/);
      assert.equal((await runCli(["detach", s.spec])).code, 7);
      const attach = await runCli(command);
      assert.equal(attach.code, 0, attach.stderr);
      assert.equal((await runCli(["status"])).stderr, "");
      const detach = await runCli(["detach", "--all"]);
      assert.equal(detach.code, 0, detach.stderr);
    }),
  );
});

/** Pins the object that is pinned at one path at another one, too. */
function pinAs(from: string, to: string): void {
  const fd = obtain(from);
  pin(fd, to);
  close(fd);
}
