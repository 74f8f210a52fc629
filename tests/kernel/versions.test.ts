/** Pinned state of another version is refused with every difference, and detach removes it. */
import assert from "node:assert/strict";
import { rmSync } from "node:fs";
import { describe, test } from "node:test";
import { cpuNumbers } from "../../loader/bpf/possible_cpus.ts";
import { LAYOUT } from "../../loader/core/abi.ts";
import { groupShapes } from "../../loader/core/map_shapes.ts";
import { ABI_VERSION, AbiMismatchError } from "../../loader/index.ts";
import * as bpf from "../../loader/sys/libbpf.ts";
import { close } from "../../loader/sys/libc.ts";
import { runCli } from "../helpers/product/cli.ts";
import { BPFFS, type Scene, scene } from "../helpers/scene/scene.ts";
import { groupOf } from "../helpers/scene/status.ts";

describe("pinned state of another version", () => {
  /** The pins of a group that nobody manages now. */
  async function pinned(s: Scene): Promise<string> {
    await s.listener();
    await (await s.sidecar()).close({ keep: true });
    return `${BPFFS}/reuseport-migrate/${groupOf(s.port).name}`;
  }

  /** Attaching must be refused in words that match, and detach must help. */
  async function refused(s: Scene, ...differences: RegExp[]): Promise<void> {
    const listed = (error: Error) => {
      assert.ok(error instanceof AbiMismatchError, String(error));
      assert.equal(error.differences.length, differences.length, error.message);
      for (const difference of differences) assert.match(error.message, difference);
      return true;
    };
    await assert.rejects(() => s.sidecar(), listed);
    const attach = await runCli(["attach", s.spec, "--once"]);
    assert.equal(attach.code, 7, attach.stderr);
    const detach = await runCli(["detach", "--all"]);
    assert.equal(detach.code, 0, detach.stderr);
    await s.sidecar(); // what was attached is not foreign to it: it is gone
  }

  test(
    "other and missing maps: all are listed",
    scene(async (s) => {
      const { control } = groupShapes(64, cpuNumbers());
      const directory = await pinned(s);
      rmSync(`${directory}/plans`);
      rmSync(`${directory}/control`);
      const slots = bpf.bpf_obj_get(`${directory}/slots`);
      assert.equal(bpf.bpf_obj_pin(slots, `${directory}/control`), 0);
      close(slots);
      await refused(
        s,
        /map plans is missing/,
        new RegExp(`map control has value ${LAYOUT.rm_slot.size}, not ${control.value}\\b`),
        /map control has entries 64, not 1/,
        /map control has flags 0, not 1024/,
      );
    }),
  );

  test(
    "another ABI version",
    scene(async (s) => {
      const group = bpf.bpf_obj_get(`${await pinned(s)}/group`);
      const value = Buffer.alloc(LAYOUT.rm_group.size);
      assert.equal(bpf.bpf_map_lookup_elem(group, Buffer.alloc(4), value), 0);
      value.writeUInt32LE(ABI_VERSION + 1, LAYOUT.rm_group.members.abi_version);
      assert.equal(bpf.bpf_map_update_elem(group, Buffer.alloc(4), value, 0), 0);
      close(group);
      await refused(s, new RegExp(`version ${ABI_VERSION + 1}, not ${ABI_VERSION}`));
    }),
  );
});
