/** Probes: what the kernel lets us do with BPF. Each does it, and undoes it at once. */
import { closeSync, openSync } from "node:fs";
import { join } from "node:path";
import { BIND_PROGRAMS } from "../abi.ts";
import { cgroupOf, findCgroup2 } from "../cgroup.ts";
import { hasCode, SysError } from "../errors.ts";
import { BindEvents } from "../events.ts";
import { Group } from "../group.ts";
import { makeUnpinned } from "../group_pins.ts";
import { BpfObject } from "../object.ts";
import { Observer } from "../observe.ts";
import { findBpffs, State } from "../state.ts";
import { checkPtr } from "../sys/check.ts";
import * as bpf from "../sys/libbpf.ts";
import * as libc from "../sys/libc.ts";
import { type Finding, no, ok } from "./probe.ts";

const SLOTS = 64;

/** Loads the program and makes its maps, as every `attach` does. */
export function programLoads(): Finding {
  closePins(makeUnpinned(SLOTS));
  return ok("SK_REUSEPORT_SELECT_OR_MIGRATE, with its maps");
}

function closePins({ programFd, maps }: ReturnType<typeof makeUnpinned>): void {
  libc.close(programFd);
  for (const map of Object.values(maps)) map[Symbol.dispose]();
}

/** Pins a map where groups are pinned. What is cut short there is cleared by whoever locks next. */
export function takesPins(bpffs: string | undefined): Finding {
  const mount = findBpffs(bpffs);
  const state = new State(mount);
  const name = `check-${process.pid}`;
  {
    using _lock = state.lock();
    const unfinished = state.makeUnfinished(name);
    try {
      using _group = Group.create(name, record(), unfinished);
    } finally {
      state.removeUnfinished(name);
    }
  }
  state.tidy();
  return ok(mount);
}

function record(): Parameters<typeof Group.create>[1] {
  const key = { netns: 0, family: "ipv4", address: "127.0.0.1", port: 1, ifindex: 0 } as const;
  const policy = { migrate: "newest", route: "kernel", settings: "prefer", hold: null } as const;
  const rest = { abiVersion: 0, uid: 0, slots: SLOTS, attachments: 0, service: "" };
  return { key: { ...key, v6only: false }, ...policy, ...rest };
}

export function iteratorLoads(): Finding {
  using observer = new Observer();
  return ok(`task_file: ${observer.read().length} listeners on this host`);
}

/** Puts a listener of ours into a sockmap of ours, and finds it there. */
export function takesListener(): Finding {
  const fd = libc.socket(libc.AF_INET, libc.SOCK_STREAM | libc.SOCK_CLOEXEC, 0);
  const pins = makeUnpinned(SLOTS);
  try {
    libc.bind(fd, libc.sockaddr(libc.AF_INET, Buffer.from([127, 0, 0, 1]), 0));
    libc.listen(fd, 1);
    const value = Buffer.alloc(8);
    value.writeUInt32LE(fd);
    pins.maps.listeners.update(0, value);
    const cookie = libc.getsockopt(fd, libc.SOL_SOCKET, libc.SO_COOKIE, 8);
    const found = pins.maps.listeners.lookup(0);
    return found?.equals(cookie) ? ok("and gives it back") : no("it took one and has another");
  } finally {
    libc.close(fd);
    closePins(pins);
  }
}

/** Has the kernel tell of binds, to no port; at the root, as `attach` does. */
export function bindEvents(): Finding {
  const mount = findCgroup2() ?? "";
  try {
    using _events = new BindEvents(mount, [], () => {});
    return ok(`cgroup/post_bind4 and 6 at ${mount}`);
  } catch (error) {
    if (!(error instanceof SysError)) throw error;
    return no(`${error.message}: new listeners are seen up to 1 s late`);
  }
}

/** Attaches what `--adopt` attaches to our own cgroup, for no port. */
export function bindHooks(): Finding {
  const path = cgroupOf(process.pid) ?? "/";
  const cgroup = join(findCgroup2() ?? "", path === "/" ? "" : path);
  using object = new BpfObject("adopt");
  object.load();
  const fd = openSync(cgroup, "r");
  try {
    for (const name of BIND_PROGRAMS) {
      const link = bpf.bpf_program__attach_cgroup(object.program(name), fd);
      bpf.bpf_link__destroy(checkPtr("bpf_program__attach_cgroup", link));
    }
    return ok(`cgroup/bind4 and 6 at ${cgroup}`);
  } catch (error) {
    if (!hasCode(error, "EPERM")) throw error;
    return no(`a program at ${cgroup} or above allows no other`, "detach that one, for --adopt");
  } finally {
    closeSync(fd);
  }
}
