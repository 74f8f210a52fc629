/** Probes: what the host must have mounted or installed, before libbpf is in play. */
import { closeSync, existsSync, openSync, readSync, statfsSync } from "node:fs";
import { findBpffs } from "../bpf/pin_tree.ts";
import { BTF } from "../host/capabilities.ts";
import { findCgroup2 } from "../host/cgroup.ts";
import { no, ok, type Probe, unknown } from "./probe.ts";

const BTF_MAGIC = 0xeb9f; // uapi/linux/btf.h
const CGROUP2_SUPER_MAGIC = 0x63677270; // uapi/linux/magic.h

/** @param bpffs as for attach */
export function placeProbes(bpffs: string | undefined): Probe[] {
  return [
    {
      name: "BTF",
      use: "to fit the programs to this kernel",
      required: true,
      run() {
        const advice = "boot a kernel with CONFIG_DEBUG_INFO_BTF=y (Debian's have it)";
        if (!existsSync(BTF)) return no(`the kernel shows none at ${BTF}`, advice);
        const magic = Buffer.alloc(2);
        const fd = openSync(BTF, "r");
        try {
          readSync(fd, magic);
        } finally {
          closeSync(fd);
        }
        return magic.readUInt16LE() === BTF_MAGIC ? ok(BTF) : no(`${BTF} is not BTF`, advice);
      },
    },
    {
      name: "bpffs",
      use: "to keep what is attached",
      required: true,
      run: () => ok(findBpffs(bpffs)),
    },
    {
      name: "libbpf",
      use: "to talk to the kernel's BPF",
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
          const advice = "mount it: 'mount -t cgroup2 none /sys/fs/cgroup'";
          return no(
            "not mounted: new listeners are seen up to 1 s late, no --adopt, no exec",
            advice,
          );
        }
        const real = statfsSync(mount).type === CGROUP2_SUPER_MAGIC;
        return real ? ok(mount) : unknown(`${mount} is covered by another mount`);
      },
    },
  ];
}
