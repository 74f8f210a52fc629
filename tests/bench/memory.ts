/**
 * 15: the kernel memory of a group: as the kernel reports it for each object, and by the growth of
 * its memory.
 */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { obtain } from "../../loader/bpf/pin.ts";
import { PROGRAM_PIN } from "../../loader/bpf/program.ts";
import { GROUP_MAPS } from "../../loader/core/map_shapes.ts";
import { parseSpec, Sidecar } from "../../loader/index.ts";
import { checkRet } from "../../loader/sys/check.ts";
import * as bpf from "../../loader/sys/libbpf.ts";
import { libbpf } from "../../loader/sys/libbpf_so.ts";
import * as libc from "../../loader/sys/libc.ts";
import { BPFFS, PLAIN } from "../helpers/scene/scene.ts";
import { ListenerProcess } from "../helpers/servers/listener.ts";
import { alone, type Figure } from "./figures.ts";
import { memlock } from "./memlock.ts";
import { ADDRESS } from "./one_group.ts";
import type { Question } from "./question.ts";

const GROUPS = 40;
const LISTENERS = 8;
const ROUNDS = 3;
const PORT = 21_100;
const SETTLE_MS = 1_500;
const KIB = 1024;
const LIMIT = 64;

const btfById = libbpf.func("int bpf_btf_get_fd_by_id(uint32_t id)") as (id: number) => number;
/* struct bpf_prog_info and bpf_btf_info, uapi/linux/bpf.h */
const PROGRAM_INFO = { size: 224, jited: 16, btf: 128 };
const BTF_INFO = { size: 32, bytes: 8 };

function info(fd: number, size: number): Buffer {
  const out = Buffer.alloc(size);
  checkRet("bpf_obj_get_info_by_fd", bpf.bpf_obj_get_info_by_fd(fd, out, [size]));
  return out;
}

/** Runs `use` with a descriptor, then closes it. */
function withFd<T>(fd: number, use: (fd: number) => T): T {
  try {
    return use(fd);
  } finally {
    libc.close(fd);
  }
}

/** Returns the bytes of a group's maps, program and BTF, as the kernel reports them. */
function counted(directory: string): { maps: number; program: number; btf: number } {
  const maps = Object.keys(GROUP_MAPS)
    .map((map) => withFd(obtain(join(directory, map)), memlock))
    .reduce((sum, bytes) => sum + bytes, 0);
  return withFd(obtain(join(directory, PROGRAM_PIN)), (fd) => {
    const program = info(fd, PROGRAM_INFO.size);
    const btf = checkRet("bpf_btf_get_fd_by_id", btfById(program.readUInt32LE(PROGRAM_INFO.btf)));
    return {
      maps,
      program: memlock(fd) + program.readUInt32LE(PROGRAM_INFO.jited),
      btf: withFd(btf, (of) => info(of, BTF_INFO.size).readUInt32LE(BTF_INFO.bytes)),
    };
  });
}

/** Returns the KiB of kernel memory in use for slabs, vmalloc and per-CPU data. */
function kernelMemory(): number {
  const text = readFileSync("/proc/meminfo", "utf8");
  return ["Slab", "VmallocUsed", "Percpu"]
    .map((name) => Number(new RegExp(`^${name}:\\s*(\\d+) kB`, "m").exec(text)?.[1]))
    .reduce((sum, each) => sum + each, 0);
}

/** Starts a process that listens on `ports`; the caller ends it. */
async function listen(ports: readonly number[]): Promise<ListenerProcess> {
  const owner = await ListenerProcess.start();
  for (const port of ports) {
    for (let i = 0; i < LISTENERS; i++) await owner.open({ address: ADDRESS, port });
  }
  return owner;
}

export const question: Question = {
  number: 15,
  name: "memory",
  title: "kernel memory of a group with 8 listeners",
  reference: "",
  async measure() {
    const ports = Array.from({ length: GROUPS }, (_, i) => PORT + i);
    const owner = await listen(ports);
    try {
      return await figures(ports);
    } finally {
      await owner.kill();
    }
  },
};

async function figures(ports: readonly number[]): Promise<Figure[]> {
  const options = { ...PLAIN, specs: ports.map((port) => parseSpec(`${ADDRESS}:${port}`)) };
  const grown: number[] = [];
  const parts: ReturnType<typeof counted>[] = [];
  // The first round fills caches.
  for (let round = 0; round <= ROUNDS; round++) {
    // The kernel frees the memory of the last round a little later.
    await sleep(SETTLE_MS);
    const before = kernelMemory();
    await using sidecar = new Sidecar(options);
    await sidecar.start();
    await sleep(SETTLE_MS);
    if (round > 0) grown.push((kernelMemory() - before) / GROUPS);
    const [group] = (await sidecar.status()).groups;
    if (group) parts.push(counted(join(BPFFS, "reuseport-migrate", group.name)));
  }
  const figure = (label: string, samples: readonly number[], bound: { atMost?: number } = {}) =>
    alone(samples, { label, unit: "KiB", ...bound });
  const kib = (of: (part: (typeof parts)[number]) => number) => parts.map((p) => of(p) / KIB);
  return [
    figure(
      "maps",
      kib(({ maps }) => maps),
    ),
    figure(
      "program and its machine code",
      kib(({ program }) => program),
    ),
    figure(
      "BTF",
      kib(({ btf }) => btf),
    ),
    figure(
      "together",
      kib(({ maps, program, btf }) => maps + program + btf),
      { atMost: LIMIT },
    ),
    // No bound, as it includes the growth of everything else on the host.
    figure("growth of slab, vmalloc and per-CPU memory", grown),
  ];
}
