/** Mount points as /proc/mounts shows them. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { mountPoint } from "../../loader/core/mounts.ts";

const MOUNTS = String.raw`proc /proc proc rw,nosuid 0 0
bpf /mnt/b\040c\011d\012e\134f bpf rw 0 0
bpf /sys/fs/bpf bpf rw,mode=700 0 0
none /run/gr\134040ün cgroup2 rw 0 0
`;

test("the first mount of a type counts", () => {
  assert.equal(mountPoint(MOUNTS, "proc"), "/proc");
  assert.equal(mountPoint(MOUNTS, "tmpfs"), null);
  assert.equal(mountPoint("", "proc"), null);
});

test("escapes of spaces, tabs, newlines and backslashes are decoded, each once", () => {
  assert.equal(mountPoint(MOUNTS, "bpf"), "/mnt/b c\td\ne\\f");
  assert.equal(mountPoint(MOUNTS, "cgroup2"), "/run/gr\\040ün");
});
