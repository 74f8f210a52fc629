/**
 * What each BPF program costs: what the verifier says, what its maps take, how large its object is.
 */
import { readFileSync, statSync } from "node:fs";
import koffi from "koffi";
import { BpfObject, objectPath } from "../../loader/bpf/object.ts";
import {
  BIND_PROGRAMS,
  BINDING_PROGRAMS,
  BOUND_PROGRAMS,
  CONNECTIONS_PROGRAM,
  ITERATOR_PROGRAM,
  PROCESSES_PROGRAM,
  SELECT_PROGRAM,
} from "../../loader/core/abi.ts";
import { capacityFor } from "../../loader/core/plan.ts";
import { requireShapes } from "../../loader/group/pins.ts";
import { checkRet } from "../../loader/sys/check.ts";
import type { Ptr } from "../../loader/sys/libbpf.ts";
import { libbpf } from "../../loader/sys/libbpf_so.ts";
import { mapFds, memlock } from "./memlock.ts";

const LOG_SIZE = 1 << 16;
const LOG_STATS = 4; // BPF_LOG_STATS, include/linux/bpf_verifier.h

type Program = Ptr<"bpf_program">;
const setLevel = libbpf.func(
  "int bpf_program__set_log_level(bpf_program *prog, uint32_t level)",
) as (program: Program, level: number) => number;
const setLog = libbpf.func(
  "int bpf_program__set_log_buf(bpf_program *prog, void *buf, size_t size)",
) as (program: Program, buffer: bigint, size: number) => number;

/** The objects of the product, and their programs. */
const PROGRAMS = {
  select: [SELECT_PROGRAM],
  listeners: [ITERATOR_PROGRAM],
  processes: [PROCESSES_PROGRAM],
  connections: [CONNECTIONS_PROGRAM],
  bind_events: BOUND_PROGRAMS,
  standby_binds: BINDING_PROGRAMS,
  adopt: BIND_PROGRAMS,
} as const;
export type ObjectName = keyof typeof PROGRAMS;
export const OBJECTS = Object.keys(PROGRAMS) as ObjectName[];

/** The figures that have a budget. */
export const FIGURES = ["instructions", "stack", "maps", "file"] as const;
export type FigureName = (typeof FIGURES)[number];

/** Of an object's program. */
export interface ProgramCost extends Readonly<Record<FigureName, number>> {
  readonly object: ObjectName;
  readonly program: string;
  /** Instructions the verifier went through. */
  readonly instructions: number;
  /** Bytes, with the functions it calls. */
  readonly stack: number;
  /** Bytes of the object's maps; `select`'s are those of a group with eight listeners. */
  readonly maps: number;
  /** Bytes of the object file. */
  readonly file: number;
}

/** Loads every object. @requires root */
export function programCosts(): ProgramCost[] {
  return OBJECTS.flatMap(costsOf);
}

function costsOf(name: ObjectName): ProgramCost[] {
  const file = statSync(objectPath(name)).size;
  const before = new Set(mapFds());
  const logs: { program: string; log: bigint }[] = [];
  const object = new BpfObject(name);
  try {
    if (name === "select") requireShapes(object, capacityFor(8));
    for (const program of PROGRAMS[name]) {
      const log = koffi.alloc("char", LOG_SIZE) as bigint;
      logs.push({ program, log });
      checkRet("bpf_program__set_log_level", setLevel(object.program(program), LOG_STATS));
      checkRet("bpf_program__set_log_buf", setLog(object.program(program), log, LOG_SIZE));
    }
    object.load();
    const maps = mapFds()
      .filter((fd) => !before.has(fd))
      .reduce((sum, fd) => sum + memlock(fd), 0);
    return logs.map(({ program, log }) => {
      const text = koffi.decode.string(log);
      return { object: name, program, ...verdict(text), maps, file };
    });
  } finally {
    object[Symbol.dispose](); // it writes there until then
    for (const { log } of logs) koffi.free(log);
  }
}

/** From the verifier's own statistics. */
function verdict(log: string): Pick<ProgramCost, "instructions" | "stack"> {
  const instructions = Number(/processed (\d+) insns/.exec(log)?.[1]);
  const stack = /stack depth ([\d+]+)/.exec(log)?.[1] ?? "";
  return { instructions, stack: stack.split("+").reduce((sum, part) => sum + Number(part), 0) };
}

/** What is measured against what may be; a figure without a budget is over it. */
export type Budget = Readonly<Record<string, Readonly<Record<FigureName, number>>>>;

/** tests/bench/budget.json */
export function readBudget(): Budget {
  return JSON.parse(
    readFileSync(new URL("../../../tests/bench/budget.json", import.meta.url), "utf8"),
  );
}

const UNITS: Readonly<Record<FigureName, string>> = {
  instructions: "instructions of the verifier",
  stack: "bytes of stack",
  maps: "bytes of maps",
  file: "bytes of object file",
};

/** One sentence for each figure that is over its budget. */
export function overBudget(costs: readonly ProgramCost[], budget: Budget): string[] {
  return costs.flatMap((cost) =>
    FIGURES.flatMap((figure) => {
      const allowed = budget[cost.program]?.[figure] ?? 0;
      if (cost[figure] <= allowed) return [];
      return [
        `program ${cost.program} of bpf/${cost.object}.bpf.c takes ${cost[figure]} ${UNITS[figure]}, more than its budget of ${allowed}: make it smaller, or raise tests/bench/budget.json and say why`,
      ];
    }),
  );
}
