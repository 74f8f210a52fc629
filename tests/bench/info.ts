/**
 * `make info`: what each BPF program costs. Verifier figures come from the
 * verifier's own statistics line, sizes from the kernel's info and the file; the
 * maps of `select` are those of a group with one listener.
 */
import { readdirSync, readFileSync, statSync } from "node:fs";
import koffi from "koffi";
import { table } from "../../cli/format.ts";
import { objectPath } from "../../loader/object.ts";
import { capacityFor } from "../../loader/plan.ts";
import { checkPtr, checkRet } from "../../loader/sys/check.ts";
import { libbpf } from "../../loader/sys/lib.ts";
import * as bpf from "../../loader/sys/libbpf.ts";

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

function programs(object: bpf.Ptr<"bpf_object">): Program[] {
  const list: Program[] = [];
  for (let p = next(object, null); p !== null; p = next(object, p)) list.push(p);
  return list;
}

/** `memlock` of an fd, bytes (Documentation/filesystems/proc.rst). */
function memlock(fd: number): number {
  return Number(/^memlock:\s*(\d+)/m.exec(readFileSync(`/proc/self/fdinfo/${fd}`, "utf8"))?.[1]);
}

function mapMemory(): number {
  return readdirSync("/proc/self/fd")
    .map(Number)
    .filter((fd) => {
      try {
        return /^map_type:/m.test(readFileSync(`/proc/self/fdinfo/${fd}`, "utf8"));
      } catch {
        return false; // the descriptor of the listing itself
      }
    })
    .reduce((sum, fd) => sum + memlock(fd), 0);
}

/** A group's maps as Group.create makes them for so many slots. */
function size(object: bpf.Ptr<"bpf_object">, slots: number): void {
  for (const map of ["listeners", "cookies", "slots", "counters"]) {
    const entries = map === "counters" ? slots + 1 : slots;
    const pointer = checkPtr(map, bpf.bpf_object__find_map_by_name(object, map));
    checkRet(map, bpf.bpf_map__set_max_entries(pointer, entries));
  }
}

const rows: string[][] = [];
for (const file of ["select", "listeners", "notify", "adopt"]) {
  const path = objectPath(file);
  const object = checkPtr("open", bpf.bpf_object__open_file(path, null));
  if (file === "select") size(object, capacityFor(1));
  const logs = programs(object).map((program) => {
    const log = koffi.alloc("char", LOG_SIZE) as bigint;
    checkRet("set_log_level", setLevel(program, LOG_STATS));
    checkRet("set_log_buf", setLog(program, log, LOG_SIZE));
    return { program, log };
  });
  checkRet("load", bpf.bpf_object__load(object));
  const maps = mapMemory();
  for (const { program, log } of logs) {
    const text = koffi.decode.string(log);
    const insns = /processed (\d+) insns/.exec(text)?.[1] ?? "?";
    const stack = /stack depth ([\d+]+)/.exec(text)?.[1] ?? "?";
    const size = String(statSync(path).size);
    rows.push([file, name(program), insns, stack, String(maps), size]);
  }
  bpf.bpf_object__close(object);
  for (const { log } of logs) koffi.free(log);
}
const header = ["object", "program", "insns", "stack", "map bytes", "file bytes"];
process.stdout.write(`${table(header, rows).join("\n")}\n`);
