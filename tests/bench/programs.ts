/** What each BPF program costs: what the verifier says, what its maps take, how large its object is. */
import { readFileSync, statSync } from "node:fs";
import koffi from "koffi";
import { CONTROL_SECTION, groupEntries } from "../../loader/abi.ts";
import { cpuNumbers } from "../../loader/cpus.ts";
import { objectPath } from "../../loader/object.ts";
import { capacityFor } from "../../loader/plan.ts";
import { checkPtr, checkRet } from "../../loader/sys/check.ts";
import { libbpf } from "../../loader/sys/lib.ts";
import * as bpf from "../../loader/sys/libbpf.ts";
import { mapFds, memlock } from "./memlock.ts";

const LOG_SIZE = 1 << 16;
const LOG_STATS = 4; // BPF_LOG_STATS, include/linux/bpf_verifier.h

type Program = bpf.Ptr<"bpf_program">;
const next = libbpf.func(
  "bpf_program *bpf_object__next_program(const bpf_object *obj, bpf_program *prog)",
) as (object: bpf.Ptr<"bpf_object">, program: Program | null) => Program | null;
const name = libbpf.func("const char *bpf_program__name(const bpf_program *prog)") as (
  program: Program,
) => string;
const setLevel = libbpf.func(
  "int bpf_program__set_log_level(bpf_program *prog, uint32_t level)",
) as (program: Program, level: number) => number;
const setLog = libbpf.func(
  "int bpf_program__set_log_buf(bpf_program *prog, void *buf, size_t size)",
) as (program: Program, buffer: bigint, size: number) => number;

/** The objects of the product. */
export const OBJECTS = ["select", "listeners", "notify", "adopt"] as const;
export type ObjectName = (typeof OBJECTS)[number];

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

/** Loads every object; wants root. */
export function programCosts(): ProgramCost[] {
  return OBJECTS.flatMap(costsOf);
}

function costsOf(object: ObjectName): ProgramCost[] {
  const path = objectPath(object);
  const file = statSync(path).size;
  const opened = checkPtr("bpf_object__open_file", bpf.bpf_object__open_file(path, null));
  const logs: { program: Program; log: bigint }[] = [];
  try {
    if (object === "select") asAGroup(opened, groupEntries(capacityFor(8), cpuNumbers()));
    for (const program of programs(opened)) {
      const log = koffi.alloc("char", LOG_SIZE) as bigint;
      logs.push({ program, log });
      checkRet("bpf_program__set_log_level", setLevel(program, LOG_STATS));
      checkRet("bpf_program__set_log_buf", setLog(program, log, LOG_SIZE));
    }
    const before = new Set(mapFds());
    checkRet("bpf_object__load", bpf.bpf_object__load(opened));
    const maps = mapFds()
      .filter((fd) => !before.has(fd))
      .reduce((sum, fd) => sum + memlock(fd), 0);
    return logs.map(({ program, log }) => {
      const text = koffi.decode.string(log);
      return { object, program: name(program), ...verdict(text), maps, file };
    });
  } finally {
    bpf.bpf_object__close(opened);
    for (const { log } of logs) koffi.free(log);
  }
}

function programs(object: bpf.Ptr<"bpf_object">): Program[] {
  const list: Program[] = [];
  for (let p = next(object, null); p !== null; p = next(object, p)) list.push(p);
  return list;
}

/** As the loader does it (loader/group_pins.ts). */
function asAGroup(object: bpf.Ptr<"bpf_object">, entries: Readonly<Record<string, number>>): void {
  const control = checkPtr("map", bpf.bpf_object__find_map_by_name(object, CONTROL_SECTION));
  checkRet("bpf_map__set_map_flags", bpf.bpf_map__set_map_flags(control, 0));
  for (const [map, count] of Object.entries(entries)) {
    const pointer = checkPtr(map, bpf.bpf_object__find_map_by_name(object, map));
    checkRet(map, bpf.bpf_map__set_max_entries(pointer, count));
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
