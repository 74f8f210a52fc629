/**
 * Binds that fail because a standby has the port: by another user, or without SO_REUSEPORT. The
 * program is loaded while there is a standby.
 */
import { openSync, statSync } from "node:fs";
import { BpfMap } from "../bpf/map.ts";
import { BpfObject } from "../bpf/object.ts";
import { BINDING_PROGRAMS, LAYOUT, RODATA } from "../core/abi.ts";
import type { GroupKey } from "../core/listener.ts";
import { requireCgroup2 } from "../host/cgroup.ts";
import { Owned } from "../owned.ts";
import * as libc from "../sys/libc.ts";
import { RingBuffer } from "../sys/ring_buffer.ts";

/** A bind() that a standby made fail. */
export interface RefusedBind {
  /** 0: outside our pid namespace. */
  readonly pid: number;
  readonly uid: number;
  readonly reuseport: boolean;
}

type Watcher = (bind: RefusedBind) => void;

/** Watchers by the map's key in hex; several groups can have a port. */
const watchers = new Map<string, Set<Watcher>>();
let program: StandbyBinds | null = null;

/**
 * Calls `refused` for each bind to the port of a standby that fails because of it, until the
 * returned function is called.
 * @param uid of the standby
 * @throws NotSupportedError without cgroup v2, SysError if the kernel refuses
 */
export function watchBinds({ netns, port }: GroupKey, uid: number, refused: Watcher): () => void {
  const key = LAYOUT.rm_standby_port.encode({ netns, port });
  const name = key.toString("hex");
  using own = new Owned();
  own.defer(endUnused);
  program ??= new StandbyBinds((hex, bind) => {
    for (const watcher of watchers.get(hex) ?? []) watcher(bind);
  });
  program.watch(key, uid);
  const here = watchers.get(name) ?? new Set();
  watchers.set(name, here.add(refused));
  return own.release(() => {
    if (!here.delete(refused) || here.size > 0) return;
    watchers.delete(name);
    program?.unwatch(key);
    endUnused();
  });
}

function endUnused(): void {
  if (watchers.size > 0) return;
  program?.[Symbol.dispose]();
  program = null;
}

class StandbyBinds implements Disposable {
  readonly #own: Disposable;
  readonly #map: BpfMap;

  constructor(report: (key: string, bind: RefusedBind) => void) {
    using own = new Owned();
    const object = own.use(new BpfObject("standby_binds"));
    const pidns = Buffer.alloc(4);
    pidns.writeUInt32LE(statSync("/proc/self/ns/pid").ino);
    object.setData(RODATA, pidns);
    object.load();
    this.#map = own.use(new BpfMap(libc.duplicate(object.mapFd("standbys"))));
    const record = (bytes: Buffer) => {
      const { port, ...bind } = LAYOUT.rm_refused_bind.decode(bytes);
      report(port.toString("hex"), bind);
    };
    own.use(new RingBuffer(object.mapFd("refused"), () => {}, record));
    using opened = new Owned();
    const cgroup = opened.fd(openSync(requireCgroup2(), "r"));
    for (const name of BINDING_PROGRAMS) own.use(object.attachCgroup(name, cgroup));
    this.#own = own.move();
  }

  watch(key: Buffer, uid: number): void {
    const value = LAYOUT.rm_standby_binds.encode({ uid, reported_ns: 0n });
    this.#map.update(key, value);
  }

  unwatch(key: Buffer): void {
    this.#map.delete(key);
  }

  [Symbol.dispose](): void {
    this.#own[Symbol.dispose]();
  }
}
