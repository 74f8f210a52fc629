/**
 * The probes of the host, each after those it needs. Files that load libbpf are imported when
 * their probe runs, because `check` must also answer on a host without libbpf.
 */
import { release, version } from "node:os";
import { capabilityProbes } from "./capability_probes.ts";
import { defectText, kernelVersion, mayApply, SILENT_DEFECTS, WAKEUP_DEFECT } from "./defects.ts";
import { mountProbes } from "./mount_probes.ts";
import {
  type Finding,
  type HostProbe,
  type HostProbeName,
  ok,
  type Result,
  runProbes,
} from "./probe.ts";
import { BORROW, SelfTest } from "./self_test.ts";
import { migrateSysctl } from "./sysctl.ts";

export interface CheckOptions {
  /** Mount point of bpffs; default: the first one mounted. */
  readonly bpffs?: string;
  /** Ends the run between two probes. */
  readonly signal?: AbortSignal;
}

/** Needed to load a BPF program. */
const LOADING = ["CAP_NET_ADMIN", "CAP_BPF", "BTF", "libbpf"] as const;
/** Needed to attach to a group. */
export const CAN_ATTACH = [
  "program loads",
  "iterator loads",
  "sockmap takes a listener",
  BORROW,
] as const;

type Kernel = typeof import("./kernel.ts");

/** Probes of the kernel's BPF; owns the loaded objects that they share. */
class KernelProbes implements Disposable {
  readonly #bpffs: string | undefined;
  #instance: InstanceType<Kernel["Instance"]> | null = null;

  constructor(bpffs: string | undefined) {
    this.#bpffs = bpffs;
  }

  probes(): HostProbe[] {
    const [program, iterator, sockmap] = CAN_ATTACH;
    const hooks = [...LOADING, "cgroup v2"] as const;
    return [
      probe(program, "to choose a connection's listener", LOADING, (kernel) => {
        this.#instance = new kernel.Instance();
        return ok("SK_REUSEPORT_SELECT_OR_MIGRATE, with its maps");
      }),
      probe("pins", "to keep the program attached", [program, "bpffs"], () =>
        this.#loaded().pin(this.#bpffs),
      ),
      probe(iterator, "to list listeners", [...LOADING, "CAP_PERFMON"], (k) => k.iteratorLoads()),
      probe(sockmap, "to select a listener", [program], () => this.#loaded().storeListener()),
      probe("bind events", "to see new listeners at once", hooks, (k) => k.bindEvents(), false),
      probe("bind hooks", "for --adopt and exec", hooks, (k) => k.bindHooks(), false),
    ];
  }

  #loaded(): InstanceType<Kernel["Instance"]> {
    if (this.#instance === null) throw new Error("nothing is loaded");
    return this.#instance;
  }

  [Symbol.dispose](): void {
    this.#instance?.[Symbol.dispose]();
  }
}

function probe(
  name: HostProbeName,
  use: string,
  needs: readonly HostProbeName[],
  run: (kernel: Kernel) => Finding | Promise<Finding>,
  required = true,
): HostProbe {
  return { name, use, required, needs, run: async () => run(await import("./kernel.ts")) };
}

/** Probes the host, with a self-test. Touches no listener of another process and leaves nothing. */
export async function checkHost(options: CheckOptions = {}): Promise<readonly Result[]> {
  const { bpffs, signal } = options;
  using kernel = new KernelProbes(bpffs);
  using selfTest = new SelfTest();
  const probes: HostProbe[] = [
    ...capabilityProbes(),
    ...mountProbes(bpffs),
    ...kernel.probes(),
    ...selfTest.labProbes(),
    { name: "tcp_migrate_req", use: "kernel migration", required: false, run: migrateSysctl },
    ...selfTest.testProbes(CAN_ATTACH),
  ];
  return await runProbes(probes, signal);
}

/** A fact that no probe can check. */
export interface Note {
  readonly name: string;
  readonly text: string;
  /** Whether this kernel may have the defect, by its version. */
  readonly applies: boolean;
}

/** Returns the known defects, compared with this kernel's version. */
export function kernelNotes(): readonly Note[] {
  const kernel = kernelVersion(release(), version());
  const all = [WAKEUP_DEFECT, ...SILENT_DEFECTS];
  return all.map((defect) => ({
    name: defect.name,
    text: defectText(defect, kernel),
    applies: mayApply(defect, kernel),
  }));
}
