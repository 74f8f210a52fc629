/**
 * The probes of the host, in order: what a later one needs comes before it. What wants libbpf
 * is imported when its probe runs, as a host without it is an answer too.
 */
import { release, version } from "node:os";
import { rightsProbes } from "./capability_probes.ts";
import { defectText, kernelVersion, SILENT_DEFECTS, WAKEUP_DEFECT } from "./defects.ts";
import { placeProbes } from "./mount_probes.ts";
import { type Finding, ok, type Probe, type Result, runProbes } from "./probe.ts";
import { BORROW, SelfTest } from "./self_test.ts";
import { migrateSysctl } from "./sysctl.ts";

export interface CheckOptions {
  /** As for attach. */
  readonly bpffs?: string;
  /** Ends it between two probes. */
  readonly signal?: AbortSignal;
}

const MAY_LOAD = ["CAP_NET_ADMIN", "CAP_BPF", "BTF", "libbpf"] as const;
/** All that `attach` does to a group. */
export const CAN_ATTACH = [
  "program loads",
  "iterator loads",
  "sockmap takes a listener",
  BORROW,
] as const;

type Kernel = typeof import("./kernel.ts");

/** What the kernel lets us do with BPF; owns the instance that its probes share. */
class KernelProbes implements Disposable {
  readonly #bpffs: string | undefined;
  #instance: InstanceType<Kernel["Instance"]> | null = null;

  constructor(bpffs: string | undefined) {
    this.#bpffs = bpffs;
  }

  probes(): Probe[] {
    const [program, iterator, sockmap] = CAN_ATTACH;
    const hooks = [...MAY_LOAD, "cgroup v2"];
    return [
      probe(program, "to decide where connections go", MAY_LOAD, (kernel) => {
        this.#instance = new kernel.Instance();
        return ok("SK_REUSEPORT_SELECT_OR_MIGRATE, with its maps");
      }),
      probe("pins", "to keep what is attached", [program, "bpffs"], () =>
        this.#loaded().pin(this.#bpffs),
      ),
      probe(iterator, "to see who listens", [...MAY_LOAD, "CAP_PERFMON"], (k) => k.iteratorLoads()),
      probe(sockmap, "to name a destination", [program], () => this.#loaded().list()),
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
  name: string,
  use: string,
  needs: readonly string[],
  run: (kernel: Kernel) => Finding | Promise<Finding>,
  required = true,
): Probe {
  return { name, use, required, needs, run: async () => run(await import("./kernel.ts")) };
}

/** Probes the host, with a self-test. Nobody's listener is touched, and nothing stays. */
export async function checkHost(options: CheckOptions = {}): Promise<readonly Result[]> {
  const { bpffs, signal } = options;
  using kernel = new KernelProbes(bpffs);
  using selfTest = new SelfTest();
  const probes: Probe[] = [
    ...rightsProbes(),
    ...placeProbes(bpffs),
    ...kernel.probes(),
    ...selfTest.labProbes(),
    { name: "tcp_migrate_req", use: "the kernel's own way", required: false, run: migrateSysctl },
    ...selfTest.testProbes(CAN_ATTACH),
  ];
  return await runProbes(probes, signal);
}

/** What is known of kernels and hangs on no probe. */
export interface Note {
  readonly name: string;
  readonly text: string;
}

/** The known defects, by what this kernel says it is. */
export function kernelNotes(): readonly Note[] {
  const kernel = kernelVersion(release(), version());
  const all = [WAKEUP_DEFECT, ...SILENT_DEFECTS];
  return all.map((defect) => ({ name: defect.name, text: defectText(defect, kernel) }));
}
