/** Information on loaded programs, by file descriptor, id or pin. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { SELECT_PROGRAM } from "../core/abi.ts";
import { hasCode } from "../errors.ts";
import { Owned } from "../owned.ts";
import { printableBytes } from "../printable.ts";
import { checkRet } from "../sys/check.ts";
import * as guard from "../sys/guard.ts";
import * as bpf from "../sys/libbpf.ts";
import { obtainIfAny } from "./pin.ts";

/** Name of the program's pin in a group's directory. */
export const PROGRAM_PIN = "program";

/** Members of struct bpf_prog_info (uapi/linux/bpf.h) in use. */
export interface ProgramInfo {
  /** Member of bpf_prog_type. */
  readonly type: number;
  readonly id: number;
  readonly name: string;
  /** Time spent in the program, nanoseconds; 0 unless kernel.bpf_stats_enabled is 1. */
  readonly runTimeNs: number;
  /** Number of runs; 0 unless kernel.bpf_stats_enabled is 1. */
  readonly runCount: number;
}

const INFO_SIZE = 224;
const OFFSET = { type: 0, id: 4, name: 64, runTimeNs: 192, runCount: 200 };

/** BPF_PROG_TYPE_SK_REUSEPORT of uapi/linux/bpf.h. */
const SK_REUSEPORT = 21;

/** Returns whether `fd` is one of our programs, by its type and name; it may be a map, too. */
export function isSelectProgram(fd: number): boolean {
  const { type, name } = programInfo(fd);
  return type === SK_REUSEPORT && name === SELECT_PROGRAM;
}

/** Scratch space, valid during one call. */
const info = Buffer.alloc(INFO_SIZE);

/** Returns information on the program behind `fd`. */
export function programInfo(fd: number): ProgramInfo {
  info.fill(0); // members set beforehand are requests
  const len: [number] = [info.length];
  checkRet("bpf_obj_get_info_by_fd", bpf.bpf_obj_get_info_by_fd(guard.fd(fd), info, len));
  const name = info.subarray(OFFSET.name, OFFSET.name + 16);
  return {
    type: info.readUInt32LE(OFFSET.type),
    id: info.readUInt32LE(OFFSET.id),
    name: printableBytes(name.subarray(0, name.indexOf(0))),
    runTimeNs: Number(info.readBigUInt64LE(OFFSET.runTimeNs)),
    runCount: Number(info.readBigUInt64LE(OFFSET.runCount)),
  };
}

/**
 * Returns whether the kernel counts runs of programs (kernel.bpf_stats_enabled,
 * proc_sys_kernel(5)).
 */
export function countsRuns(): boolean {
  try {
    return readFileSync("/proc/sys/kernel/bpf_stats_enabled", "latin1").trim() !== "0";
  } catch {
    return true; // unknown: the programs' own counts decide
  }
}

/** Returns a program's name by id, or null if it is gone or CAP_SYS_ADMIN is missing. */
export function programName(id: number): string | null {
  using own = new Owned();
  try {
    const fd = bpf.bpf_prog_get_fd_by_id(guard.uint32("an id", id));
    return programInfo(own.fd(checkRet("bpf_prog_get_fd_by_id", fd))).name;
  } catch (error) {
    if (hasCode(error, "EPERM", "ENOENT")) return null;
    throw error;
  }
}

/** Returns the id of the program pinned in a group's directory, or null if there is none. */
export function pinnedProgramId(directory: string): number | null {
  using own = new Owned();
  const fd = own.fd(obtainIfAny(join(directory, PROGRAM_PIN)));
  return fd !== null && isSelectProgram(fd) ? programInfo(fd).id : null;
}
