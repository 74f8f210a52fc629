/** Copies of the built product: what an upgrade installs, of the same ABI or of the next one. */
import { execFileSync } from "node:child_process";
import { cpSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { ABI_VERSION } from "../../../loader/core/abi.ts";
import type { TempDir } from "../host/child.ts";

const ROOT = fileURLToPath(new URL("../../../../", import.meta.url));

export const NEXT_ABI = ABI_VERSION + 1;

/** Copies what `make install` installs into a directory. Returns its command. */
export function sameVersion(dir: TempDir, name = "same"): string {
  const to = dir.file(name);
  for (const part of ["dist/bpf", "dist/loader", "dist/cli", "package.json"]) {
    cpSync(join(ROOT, part), join(to, part), { recursive: true });
  }
  symlinkSync(join(ROOT, "node_modules"), join(to, "node_modules"));
  return join(to, "dist/cli/bin.js");
}

/**
 * Copies it with the next ABI: every append-only struct has one more member, and the state of the
 * program has another layout of the same size. Returns its command.
 */
export function nextVersion(dir: TempDir): string {
  const bin = sameVersion(dir, "next");
  const to = dir.file("next");
  cpSync(join(ROOT, "bpf"), join(to, "bpf"), { recursive: true });
  edit(join(to, "bpf/layout.h"), [
    [/\t_Static_assert\(__builtin_offsetof.*/, '\t_Static_assert(1, "")'],
    [/_Static_assert\(sizeof\(struct type\).*/, '_Static_assert(1, "")'],
  ]);
  edit(join(to, "bpf/reuseport_migrate.h"), [
    [`#define RM_ABI_VERSION ${ABI_VERSION}`, `#define RM_ABI_VERSION ${NEXT_ABI}`],
    [/\t__u16 plan; (.*)\n\t__u16 probe;/, "\t__u16 probe; $1\n\t__u16 plan;"],
  ]);
  edit(join(to, "bpf/records.h"), [
    [/(\tchar service\[.*\n)/, "$1\t__u32 later;\n"],
    [/(\t__u64 base_into;.*\n)/, "$1\t__u64 later;\n"],
    [/(\tchar options\[RM_OPTIONS_LEN\];.*\n)/, "$1\t__u64 later;\n"],
    [/(\t__u64 connections_reset;\n)/, "$1\t__u64 later;\n"],
    [/(\tchar path\[RM_CGROUP_PATH_LEN\];.*\n)/, "$1\t__u64 later;\n"],
    [/(\t__u64 failed;.*\n)/, "$1\t__u64 later;\n"],
  ]);
  edit(join(to, "dist/loader/core/abi.js"), [
    [`ABI_VERSION = ${ABI_VERSION};`, `ABI_VERSION = ${NEXT_ABI};`],
    [/plan: u16,\s+probe: u16,/, "probe: u16, plan: u16,"],
    ["service: text(SERVICE_LEN),", "service: text(SERVICE_LEN), later: flag(u32),"],
    ["base_into: count64,", "base_into: count64, later: flag(u32),"],
    [/options: text\(OPTIONS_LEN, "latin1"\)/, "$&, later: flag(u32)"],
    ["connections_reset: count64,", "$& later: flag(u32),"],
    ["path: text(CGROUP_PATH_LEN),", "$& later: flag(u32),"],
    [/failed: count64/, "$&, later: flag(u32)"],
  ]);
  for (const object of ["select", "adopt"]) compile(to, object);
  return bin;
}

/** Replaces each pattern, which must be there, once. */
function edit(path: string, changes: readonly (readonly [string | RegExp, string])[]): void {
  let text = readFileSync(path, "utf8");
  for (const [pattern, by] of changes) {
    const edited = text.replace(pattern, by);
    if (edited === text) throw new Error(`${path} has no ${pattern}`);
    text = edited;
  }
  writeFileSync(path, text);
}

function compile(root: string, object: string): void {
  const asm = `/usr/include/${process.arch === "x64" ? "x86_64" : "aarch64"}-linux-gnu`;
  const flags = ["-target", "bpf", "-mcpu=v3", "-g", "-O2", "-idirafter", asm];
  const source = join(root, `bpf/${object}.bpf.c`);
  execFileSync("clang", [...flags, "-c", source, "-o", join(root, `dist/bpf/${object}.bpf.o`)]);
}
