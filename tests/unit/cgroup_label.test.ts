/** Cgroups as container runtimes and systemd name them. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { cgroupLabel } from "../../loader/host/cgroup_label.ts";

const ID = "0123456789abcdef".repeat(4);

const NAMES: readonly [path: string, label: string | null][] = [
  [`/system.slice/docker-${ID}.scope`, "docker 0123456789ab"],
  [`/docker/${ID}`, "docker 0123456789ab"],
  [`/machine.slice/libpod-${ID}.scope/container`, "podman 0123456789ab"],
  [
    `/kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-pod1.slice/cri-containerd-${ID}.scope`,
    "kubernetes 0123456789ab",
  ],
  [`/lxc/${ID}`, "container 0123456789ab"],
  ["/system.slice/nginx.service", "nginx.service"],
  ["/system.slice/nginx.service/worker", "nginx.service"],
  ["/machine.slice/systemd-nspawn@web.service", "systemd-nspawn@web.service"],
  ["/user.slice/user-0.slice/session-3.scope", "session-3.scope"],
  ["/system.slice/a\x1bb.service", "a\\x1bb.service"],
  ["/", null],
  ["/test", null],
];

test("a cgroup is named by its container or unit", () => {
  for (const [path, label] of NAMES) assert.equal(cgroupLabel(path), label, path);
});
