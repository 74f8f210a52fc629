/** Probes of mounted file systems and of libbpf itself. */
import { existsSync, openSync, readSync, statfsSync } from "node:fs";
import { findBpffs } from "../bpf/pin_tree.ts";
import { BTF } from "../host/capabilities.ts";
import { findCgroup2 } from "../host/cgroup.ts";
import { Owned } from "../owned.ts";
import { type HostProbe, no, ok, unknown } from "./probe.ts";

const BTF_MAGIC = 0xeb9f; // uapi/linux/btf.h
const CGROUP2_SUPER_MAGIC = 0x63677270; // uapi/linux/magic.h

/** @param bpffs mount point of bpffs; default: the first one mounted */
export function mountProbes(bpffs: string | undefined): HostProbe[] {
  return [
    {
      name: "BTF",
      use: "to adapt the programs to this kernel",
      required: true,
      run() {
        const advice = "boot a kernel with CONFIG_DEBUG_INFO_BTF=y (Debian's have it)";
        if (!existsSync(BTF)) return no(`the kernel has none at ${BTF}`, advice);
        const magic = Buffer.alloc(2);
        using own = new Owned();
        readSync(own.fd(openSync(BTF, "r")), magic);
        return magic.readUInt16LE() === BTF_MAGIC ? ok(BTF) : no(`${BTF} is not BTF`, advice);
      },
    },
    {
      name: "bpffs",
      use: "to keep the program attached",
      required: true,
      run: () => ok(findBpffs(bpffs)),
    },
    {
      name: "libbpf",
      use: "to load BPF programs",
      required: true,
      async run() {
        const { libbpfVersion } = await import("../bpf/libbpf_version.ts");
        return ok(`libbpf.so.1, version ${libbpfVersion()}`);
      },
    },
    {
      name: "cgroup v2",
      use: "for bind events, --adopt, --cgroup and exec",
      required: false,
      run() {
        const mount = findCgroup2();
        if (mount === null) {
          return no(
            "not mounted, so new listeners are noticed up to 1 s late; no --adopt, no exec",
            "run 'mount -t cgroup2 none /sys/fs/cgroup'",
          );
        }
        const isVisible = statfsSync(mount).type === CGROUP2_SUPER_MAGIC;
        return isVisible ? ok(mount) : unknown(`another mount hides ${mount}`);
      },
    },
  ];
}
