/** The kernel's run time of a program: run_time_ns by run_cnt, with the cost of the measurement. */
import { type ProgramInfo, programInfo } from "../../loader/bpf/program.ts";
import { checkRet } from "../../loader/sys/check.ts";
import * as bpf from "../../loader/sys/libbpf.ts";
import { libbpf } from "../../loader/sys/libbpf_so.ts";
import * as libc from "../../loader/sys/libc.ts";

const enableStats = libbpf.func("int bpf_enable_stats(int type)") as (type: number) => number;
const BPF_STATS_RUN_TIME = 0;

/** The least number of runs for a mean. */
const ENOUGH = 200;
const TRIES = 20;

/** The kernel measures run times until this is disposed. */
export class RunTimes implements Disposable {
  readonly #fd = checkRet("bpf_enable_stats", enableStats(BPF_STATS_RUN_TIME));

  [Symbol.dispose](): void {
    libc.close(this.#fd);
  }
}

/** Owns a file descriptor of a program. */
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

  /** Returns the nanoseconds per run during `during`, which is repeated if the runs are too few. */
  async mean(during: () => Promise<unknown>): Promise<number> {
    const before = this.read();
    for (let tries = 0; tries < TRIES; tries++) {
      await during();
      const after = this.read();
      const count = after.runCount - before.runCount;
      if (count >= ENOUGH) return (after.runTimeNs - before.runTimeNs) / count;
    }
    throw new Error(`program ${before.name} ran fewer than ${ENOUGH} times`);
  }

  [Symbol.dispose](): void {
    libc.close(this.fd);
  }
}
