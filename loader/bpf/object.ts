/** A BPF object file: opened, adjusted and loaded, with its maps and programs by name. */
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { hasCode, NotSupportedError, PermissionError, SysError, VerifierError } from "../errors.ts";
import { forbidsKernelReads, HARDENED } from "../hardening.ts";
import { Owned, requireFreeFds } from "../owned.ts";
import { checkPtr, checkRet } from "../sys/check.ts";
import * as guard from "../sys/guard.ts";
import * as bpf from "../sys/libbpf.ts";
import { trimMemoryLater } from "../sys/own_process.ts";
import { takeMessages } from "../sys/print.ts";
import { BpfLink } from "./link.ts";
import { BpfMap } from "./map.ts";

/**
 * Descriptors that a load needs: for maps, programs and BTF. libbpf would report missing BTF, and
 * take a feature of the kernel as absent from then on, when it finds none for its probe.
 */
const LOAD_FDS = 24;

/**
 * Sizes and offsets, bytes, of struct bpf_iter_attach_opts (libbpf.h) and union bpf_iter_link_info
 * (uapi/linux/bpf.h): its `task`.
 */
const ITER_OPTIONS = 24;
const TASK_INFO = { size: 12, pid: 4 } as const;

function ofProcess(pid: number): bpf.IterOptions {
  const info = Buffer.alloc(TASK_INFO.size);
  info.writeUInt32LE(guard.pid(pid), TASK_INFO.pid);
  return { sz: ITER_OPTIONS, link_info: info, link_info_len: info.length };
}

/** Returns the path of a prebuilt object: dist/bpf/NAME.bpf.o, beside the compiled loader. */
export function objectPath(name: string): string {
  return fileURLToPath(new URL(`../../bpf/${name}.bpf.o`, import.meta.url));
}

/** An open BPF object. Closing it drops its own references; pins and attachments stay. */
export class BpfObject implements Disposable {
  readonly #name: string;
  #ptr: bpf.Ptr<"bpf_object"> | null;
  /** Maps of {@link useMap}, and those that replace them before libbpf closes the object. */
  readonly #replaced: {
    readonly pointer: bpf.Ptr<"bpf_map">;
    readonly map: BpfMap;
    readonly standIn: BpfMap;
  }[] = [];

  /** Opens `NAME.bpf.o` without loading anything into the kernel. */
  constructor(name: string, path = objectPath(name)) {
    if (!existsSync(path)) {
      throw new NotSupportedError(
        "BPF object",
        `the BPF object ${path} is missing: build it with 'make build'`,
      );
    }
    this.#name = name;
    takeMessages();
    this.#ptr = checkPtr("bpf_object__open_file", bpf.bpf_object__open_file(path, null));
  }

  get #object(): bpf.Ptr<"bpf_object"> {
    if (this.#ptr === null) throw new Error(`BPF object ${this.#name} is closed`);
    return this.#ptr;
  }

  #map(name: string): bpf.Ptr<"bpf_map"> {
    return checkPtr(`map ${name}`, bpf.bpf_object__find_map_by_name(this.#object, name));
  }

  /** Sets the number of entries of a map, before load. */
  setEntries(map: string, entries: number): void {
    checkRet("bpf_map__set_max_entries", bpf.bpf_map__set_max_entries(this.#map(map), entries));
  }

  /**
   * Sets the flags of a map, before load. By default the map of a data section is mappable, in
   * whole pages.
   */
  setFlags(map: string, flags: number): void {
    checkRet("bpf_map__set_map_flags", bpf.bpf_map__set_map_flags(this.#map(map), flags));
  }

  /**
   * Uses a map of any length for a data section, before load. Takes ownership of the map.
   *
   * libbpf maps memory of the section's length when it opens the object. When it closes the object,
   * it unmaps the length of the map it has then (bpf_map__destroy() of 1.1 and 1.7), including
   * whatever memory follows. So it gets a map of the section's length before it closes.
   */
  useMap(section: string, map: BpfMap): void {
    using own = new Owned();
    own.use(map);
    const pointer = this.#map(section);
    const shape = { ...map.shape, value: bpf.bpf_map__value_size(pointer), flags: 0 };
    const standIn = own.use(BpfMap.create("section", shape));
    checkRet("bpf_map__reuse_fd", bpf.bpf_map__reuse_fd(pointer, map.fd));
    this.#replaced.push(own.release({ pointer, map, standIn }));
  }

  /** Sets the whole content of a data section such as `.rodata`, before load. */
  setData(section: string, data: Buffer): void {
    checkRet(
      "bpf_map__set_initial_value",
      bpf.bpf_map__set_initial_value(this.#map(section), data, data.length),
    );
  }

  /**
   * Loads maps and programs into the kernel.
   * @throws PermissionError, NotSupportedError or {@link VerifierError} with the log; EMFILE
   */
  load(): void {
    requireFreeFds(LOAD_FDS);
    try {
      checkRet("bpf_object__load", bpf.bpf_object__load(this.#object));
      trimMemoryLater(); // libbpf has read the kernel's BTF, which is large
    } catch (cause) {
      const log = takeMessages();
      if (hasCode(cause, "EPERM")) {
        throw new PermissionError(
          "CAP_BPF",
          `loading BPF program ${this.#name} is not permitted: run as root, or with CAP_BPF, CAP_PERFMON and CAP_NET_ADMIN`,
          { cause },
        );
      }
      if (forbidsKernelReads()) {
        const failed = `BPF program ${this.#name} cannot be loaded`;
        throw new NotSupportedError("lockdown", `${failed}: ${HARDENED.memory}`, { cause });
      }
      if (cause instanceof SysError && /BTF|vmlinux/.test(log)) {
        throw new NotSupportedError(
          "BTF",
          `the kernel's BTF is not usable (${log.split("\n").at(-1)}): boot a kernel with CONFIG_DEBUG_INFO_BTF=y (Debian's have it)`,
          { cause },
        );
      }
      throw new VerifierError(this.#name, log || String(cause), { cause });
    }
  }

  /** Returns a map's file descriptor, owned by the object, after load. */
  mapFd(name: string): number {
    return checkRet(`map ${name}`, bpf.bpf_map__fd(this.#map(name)));
  }

  /** Returns a program's handle, owned by the object. */
  program(name: string): bpf.Ptr<"bpf_program"> {
    return checkPtr(`program ${name}`, bpf.bpf_object__find_program_by_name(this.#object, name));
  }

  /** Returns a program's file descriptor, owned by the object, after load. */
  programFd(name: string): number {
    return checkRet(`program ${name}`, bpf.bpf_program__fd(this.program(name)));
  }

  /** Attaches a program to the cgroup behind `fd`, after load. */
  attachCgroup(program: string, fd: number): BpfLink {
    const link = bpf.bpf_program__attach_cgroup(this.program(program), fd);
    return new BpfLink(checkPtr("bpf_program__attach_cgroup", link));
  }

  /**
   * Attaches an iterator, after load.
   * @param pid the process whose files it visits, which requires Linux 6.1; null: every one
   */
  attachIterator(program: string, pid: number | null): BpfLink {
    const options = pid === null ? null : ofProcess(pid);
    const link = bpf.bpf_program__attach_iter(this.program(program), options);
    return new BpfLink(checkPtr("bpf_program__attach_iter", link));
  }

  /** Returns the object's raw BTF, for the ABI test. */
  btf(): bpf.Ptr<"btf"> {
    return checkPtr("bpf_object__btf", bpf.bpf_object__btf(this.#object));
  }

  [Symbol.dispose](): void {
    if (this.#ptr === null) return;
    // If this fails the object stays open: a leak rather than a crash.
    for (const { pointer, map, standIn } of this.#replaced) {
      map[Symbol.dispose](); // frees the descriptor that libbpf needs now
      checkRet("bpf_map__reuse_fd", bpf.bpf_map__reuse_fd(pointer, standIn.fd));
      standIn[Symbol.dispose]();
    }
    bpf.bpf_object__close(this.#ptr);
    this.#ptr = null;
  }
}
