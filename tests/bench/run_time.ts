/** What the kernel says a program's runs took: run_time_ns by run_cnt, its own timing included. */
import { type ProgramInfo, programInfo } from "../../loader/bpf/program.ts";
import { checkRet } from "../../loader/sys/check.ts";
import * as bpf from "../../loader/sys/libbpf.ts";
import { libbpf } from "../../loader/sys/libbpf_so.ts";
import * as libc from "../../loader/sys/libc.ts";

const enableStats = libbpf.func("int bpf_enable_stats(int type)") as (type: number) => number;
const BPF_STATS_RUN_TIME = 0;

/** Too few runs make no mean. */
const ENOUGH = 200n;
const TRIES = 20;

/** The kernel takes run times as long as this lives; nothing stays switched on. */
export class RunTimes implements Disposable {
  readonly #fd = checkRet("bpf_enable_stats", enableStats(BPF_STATS_RUN_TIME));

  [Symbol.dispose](): void {
    libc.close(this.#fd);
  }
}

/** Owns a file descriptor on a program. */
export class Runs implements Disposable {
  readonly fd: number;

  constructor(fd: number) {
    this.fd = fd;
  }

  static ofId(id: number): Runs {
    return new Runs(checkRet("bpf_prog_get_fd_by_id", bpf.bpf_prog_get_fd_by_id(id)));
  }

  read(): ProgramInfo {
    return programInfo(this.fd);
  }

  /** Nanoseconds a run, of the runs while `during` lasts; again while they are too few, on a busy machine. */
  async mean(during: () => Promise<unknown>): Promise<number> {
    const before = this.read();
    for (let tries = 0; tries < TRIES; tries++) {
      await during();
      const after = this.read();
      const count = after.runCount - before.runCount;
      if (count >= ENOUGH) return Number(after.runTimeNs - before.runTimeNs) / Number(count);
    }
    throw new Error(`program ${before.name} ran less than ${ENOUGH} times`);
  }

  [Symbol.dispose](): void {
    libc.close(this.fd);
  }
}
