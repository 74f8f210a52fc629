/** Probes of the kernel's BPF. Each uses a feature, and undoes that at once. */
import { openSync } from "node:fs";
import { join } from "node:path";
import { BpfObject } from "../bpf/object.ts";
import { pin } from "../bpf/pin.ts";
import { findBpffs, PinTree } from "../bpf/pin_tree.ts";
import { PROGRAM_PIN } from "../bpf/program.ts";
import { BIND_PROGRAMS } from "../core/abi.ts";
import { hasCode, SysError } from "../errors.ts";
import { type GroupPins, makeUnpinned } from "../group/pins.ts";
import { cgroupOf, findCgroup2 } from "../host/cgroup.ts";
import { BindEvents } from "../observe/bind_events.ts";
import { Observer } from "../observe/observer.ts";
import { Owned } from "../owned.ts";
import * as libc from "../sys/libc.ts";
import { type Finding, no, ok } from "./probe.ts";

const SLOTS = 64;

/** One loaded program with its maps. Later probes share it, because verifying it takes long. */
export class Instance implements Disposable {
  readonly #pins: GroupPins = makeUnpinned(SLOTS);

  /** Pins it below the pin tree. If this process is killed here, the next lock cleans up. */
  async pin(bpffs: string | undefined): Promise<Finding> {
    const mount = findBpffs(bpffs);
    const pinTree = new PinTree(mount);
    const name = `check-${process.pid}`;
    {
      using _lock = await pinTree.lock();
      const unfinished = pinTree.makeUnfinished(name);
      try {
        pin(this.#pins.programFd, join(unfinished, PROGRAM_PIN));
        for (const [map, { fd }] of Object.entries(this.#pins.maps)) pin(fd, join(unfinished, map));
      } finally {
        pinTree.removeUnfinished(name);
      }
    }
    pinTree.tidy();
    return ok(`program and maps, at ${pinTree.root}`);
  }

  /** Puts a listener of this process into the sockmap and looks it up. */
  storeListener(): Finding {
    const { listeners } = this.#pins.maps;
    using own = new Owned();
    const fd = own.fd(libc.socket(libc.AF_INET, libc.SOCK_STREAM | libc.SOCK_CLOEXEC, 0));
    libc.bind(fd, libc.sockaddr(libc.AF_INET, Buffer.from([127, 0, 0, 1]), 0));
    libc.listen(fd, 1);
    const value = Buffer.alloc(8);
    value.writeUInt32LE(fd);
    listeners.update(0, value);
    const cookie = libc.getsockopt(fd, libc.SOL_SOCKET, libc.SO_COOKIE, 8);
    const found = listeners.lookup(0);
    return found?.equals(cookie) ? ok("and returns it") : no("it returns another socket");
  }

  [Symbol.dispose](): void {
    this.#pins[Symbol.dispose]();
  }
}

export function iteratorLoads(): Finding {
  using observer = new Observer();
  return ok(`task_file: ${observer.read().listeners.length} listeners on this host`);
}

/** Attaches the programs of bind events to the root cgroup, as `attach` does, but for no port. */
export function bindEvents(): Finding {
  const mount = findCgroup2() ?? "";
  try {
    using _events = new BindEvents(mount, [], () => {});
    return ok(`cgroup/post_bind4 and 6 at ${mount}`);
  } catch (error) {
    if (!(error instanceof SysError)) throw error;
    return no(`${error.message}: new listeners are noticed up to 1 s late`);
  }
}

/** Attaches the programs of `--adopt` to this process's cgroup, for no port. */
export function bindHooks(): Finding {
  const path = cgroupOf(process.pid) ?? "/";
  const cgroup = join(findCgroup2() ?? "", path === "/" ? "" : path);
  using object = new BpfObject("adopt");
  object.load();
  using own = new Owned();
  const fd = own.fd(openSync(cgroup, "r"));
  try {
    for (const name of BIND_PROGRAMS) object.attachCgroup(name, fd)[Symbol.dispose]();
    return ok(`cgroup/bind4 and 6 at ${cgroup}`);
  } catch (error) {
    if (!hasCode(error, "EPERM")) throw error;
    return no(`a program at ${cgroup} or above allows no other`, "detach that one for --adopt");
  }
}
