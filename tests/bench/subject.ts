/** A program under comparison: programs are attached in turn to a group of real listeners. */
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { BpfMap } from "../../loader/bpf/map.ts";
import { BpfObject } from "../../loader/bpf/object.ts";
import type { Listener } from "../../loader/core/listener.ts";
import { drain, parseSpec, Sidecar, type SidecarOptions } from "../../loader/index.ts";
import { borrow } from "../../loader/lender/lender.ts";
import { attachProgram } from "../../loader/manage/attach.ts";
import * as libc from "../../loader/sys/libc.ts";
import { BPFFS, PLAIN } from "../helpers/scene/scene.ts";
import { ADDRESS, type OneGroup } from "./one_group.ts";
import { Runs } from "./run_time.ts";

/** Duration of a sample, and the time before it in which the caches adapt to the program. */
const SAMPLE_MS = 60;
const SETTLE_MS = 5;

/** A loaded program and its group. */
export class Subject implements AsyncDisposable {
  readonly runs: Runs;
  readonly #members: readonly Listener[];
  readonly #end: () => void | Promise<void>;

  private constructor(members: readonly Listener[], runs: Runs, end: () => void | Promise<void>) {
    this.#members = members;
    this.runs = runs;
    this.#end = end;
  }

  /** Returns our program, loaded, filled and attached by the product. */
  static async ours(
    group: OneGroup,
    options: Partial<SidecarOptions> & { readonly drained?: number },
  ): Promise<Subject> {
    const { drained = 0, ...rest } = options;
    const specs = [parseSpec(`${ADDRESS}:${group.port}`)];
    const sidecar = new Sidecar({
      ...PLAIN,
      specs,
      ...rest,
    });
    await sidecar.start();
    for (const { cookie } of group.listeners.slice(0, drained)) {
      await drain(specs, { cookie: BigInt(cookie) }, { bpffs: BPFFS });
    }
    await sidecar.reconcile();
    const members = group.observed();
    const id = members[0]?.programId;
    if (!id) throw new Error(`nothing is attached to port ${group.port}`);
    return new Subject(members, Runs.ofId(id), () => sidecar.close({ keep: false }));
  }

  /** Loads the program `reference` of tests/bench/NAME.bpf.c without attaching it. */
  static reference(
    group: OneGroup,
    name: string,
    fill: (object: BpfObject, members: readonly Listener[]) => void = () => {},
    adjust: (object: BpfObject) => void = () => {},
  ): Subject {
    const path = fileURLToPath(new URL(`./${name}.bpf.o`, import.meta.url));
    const object = new BpfObject(name, path);
    adjust(object);
    object.load();
    const members = group.observed();
    fill(object, members);
    const runs = new Runs(libc.duplicate(object.programFd("reference")));
    return new Subject(members, runs, () => object[Symbol.dispose]());
  }

  /** Attaches the program instead of the attached one. */
  attach(): void {
    if (!attachProgram(this.#members, this.runs.fd))
      throw new Error("no listener of the group is left to attach through");
  }

  /** Returns the nanoseconds per run while SYNs arrive. */
  async nsPerSyn(): Promise<number> {
    this.attach();
    await sleep(SETTLE_MS);
    return this.runs.mean(() => sleep(SAMPLE_MS));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.runs[Symbol.dispose]();
    await this.#end();
  }
}

/** Opens a map of a reference object; the caller closes it. */
export function mapOf(object: BpfObject, name: string): BpfMap {
  return new BpfMap(libc.duplicate(object.mapFd(name)));
}

/** Puts each listener into the map `sockets`, by its index. */
export function fillSockets(object: BpfObject, members: readonly Listener[]): void {
  using map = mapOf(object, "sockets");
  for (const [i, listener] of members.entries()) {
    borrow(listener, [{ kind: "place", value: i }], map.fd);
  }
}
