/** Cgroups as container runtimes, Kubernetes and systemd name them. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { type CgroupLabels, cgroupLabel, cgroupLabels } from "../../loader/host/cgroup_label.ts";

const ID = "0123456789abcdef".repeat(4);
const OUTER = "f".repeat(64);
const UID = "2f48b1ea-0c1e-4b0b-8a55-6d1c0d8b3f10";
const UID_ = UID.replaceAll("-", "_");
/** The kubelet's hash of a manifest. */
const STATIC = "0123456789abcdef0123456789abcdef";

type Expected = Partial<CgroupLabels> & { readonly text?: string | null };

const container = (runtime: string, more: Expected = {}): Expected => ({
  container: ID,
  runtime,
  text: `${runtime} 0123456789ab`,
  ...more,
});
const pod = (more: Expected = {}) => container("kubernetes", { pod: UID, ...more });
const unit = (name: string): Expected => ({ unit: name, text: name });

const PATHS: Readonly<Record<string, Readonly<Record<string, Expected>>>> = {
  "units of systemd": {
    "/system.slice/nginx.service": unit("nginx.service"),
    "/system.slice/nginx.service/worker": unit("nginx.service"),
    "/system.slice/system-app.slice/app@1.service": unit("app@1.service"),
    "/machine.slice/systemd-nspawn@web.service/payload": unit("systemd-nspawn@web.service"),
    "/user.slice/user-0.slice/session-3.scope": unit("session-3.scope"),
    "/user.slice/user-1000.slice/user@1000.service/app.slice/web.service": unit("web.service"),
    "/init.scope": unit("init.scope"),
  },
  "docker, podman and LXC": {
    [`/system.slice/docker-${ID}.scope`]: container("docker"),
    [`/docker/${ID}`]: container("docker"),
    [`/system.slice/docker-${ID}.scope/system.slice/app.service`]: container("docker", {
      unit: "app.service",
    }),
    [`/machine.slice/libpod-${ID}.scope/container`]: container("podman"),
    [`/machine.slice/libpod-${ID}.scope`]: container("podman"),
    [`/machine.slice/machine-libpod_pod_${OUTER}.slice/libpod-${ID}.scope`]: container("podman"),
    [`/system.slice/web.service/libpod-payload-${ID}`]: container("podman", {
      unit: "web.service",
    }),
    [`/user.slice/user-1000.slice/user@1000.service/user.slice/libpod-${ID}.scope/container`]:
      container("podman", { unit: "user@1000.service" }),
    [`/lxc/${ID}`]: container("container"),
    "/lxc.payload.web/system.slice/nginx.service": {
      ...{ container: "web", runtime: "lxc", unit: "nginx.service", text: "lxc web" },
    },
    "/lxc.monitor.web": {},
  },
  "Kubernetes, both cgroup drivers": {
    [`/kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-pod${UID_}.slice/cri-containerd-${ID}.scope`]:
      pod(),
    [`/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod${UID_}.slice/crio-${ID}.scope/container`]:
      pod(),
    [`/kubepods.slice/kubepods-pod${UID_}.slice/docker-${ID}.scope`]: pod(),
    [`/kubepods/besteffort/pod${UID}/${ID}`]: pod(),
    [`/kubepods/pod${UID}/${ID}/worker`]: pod(),
    [`/kubepods/burstable/pod${STATIC}/${ID}`]: pod({ pod: STATIC }),
    [`/system.slice/containerd.service/kubepods-burstable-pod${UID_}.slice:cri-containerd:${ID}`]:
      pod(),
    [`/kubepods.slice/kubepods-pod${UID_}.slice/cri-containerd-${ID}.scope/init.scope`]: pod({
      unit: "init.scope",
    }),
    [`/docker/${OUTER}/kubelet/kubepods/burstable/pod${UID}/${ID}`]: pod(),
    // As seen from the cgroup namespace of another pod.
    [`/../../kubepods-besteffort-pod${UID_}.slice/cri-containerd-${ID}.scope`]: pod(),
    [`/../../pod${UID}/${ID}`]: pod(),
    [`/../../../../system.slice/kubelet.service`]: unit("kubelet.service"),
    [`/kubepods/burstable/pod${UID}`]: { pod: UID },
  },
  "paths that say nothing, or lie": {
    "/": {},
    "": {},
    "/test": {},
    "/.service/..": unit(".service"),
    "/system.slice/a\x1bb.service": unit("a\\x1bb.service"),
    "/system.slice/a\u202eb.service": unit("a\\u{202e}b.service"),
    "/system.slice/a\nREADY groups=1.service": unit("a\\x0aREADY groups=1.service"),
    [`/${"a".repeat(247)}.service`]: unit(`${"a".repeat(128)}…`),
    [`/lxc.payload.${"\x01".repeat(200)}`]: {
      ...{
        container: `${"\\x01".repeat(32)}…`,
        runtime: "lxc",
        text: `lxc ${"\\x01".repeat(32)}…`,
      },
    },
    [`/${ID.slice(1)}`]: {},
    [`/${ID}0`]: {},
    [`/docker-${ID.toUpperCase()}.scope`]: unit(`docker-${ID.toUpperCase()}.scope`),
    [`/kubepods/pod${UID}x`]: {},
    [`/kubepods/pod${UID.replace("-", "_")}`]: {},
    [`/kubepods/pod../${ID}`]: container("container"),
  },
};

for (const [what, paths] of Object.entries(PATHS)) {
  describe(what, () => {
    for (const [path, { text = null, ...expected }] of Object.entries(paths)) {
      test(JSON.stringify(path.replaceAll(ID, "ID").slice(0, 90)), () => {
        const none = { unit: null, container: null, runtime: null, pod: null };
        assert.deepEqual(cgroupLabels(path), { ...none, ...expected });
        assert.equal(cgroupLabel(path), text);
      });
    }
  });
}
