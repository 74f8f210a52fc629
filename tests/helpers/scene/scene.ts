/**
 * The surroundings of one kernel test: a port, processes, rules and sysctls, all of which are
 * undone at the end in reverse order, also after a failure.
 */
import assert from "node:assert/strict";
import {
  parseSpec,
  Sidecar,
  type SidecarEvent,
  type SidecarOptions,
} from "../../../loader/index.ts";
import type { Cleanup } from "../cleanup.ts";
import { borrowedFds, pins } from "../host/fds.ts";
import { openPeers, type Peer, type PeerOptions } from "../load/peer.ts";
import { holdHandshakes } from "../net/handshake_loss.ts";
import { setSysctl } from "../net/sysctl.ts";
import { type Listener, ListenerProcess, type ListenOptions } from "../servers/listener.ts";

export const BPFFS = "/sys/fs/bpf";

/** Default options of a sidecar in a test. */
export const PLAIN = {
  migrate: "newest",
  route: "kernel",
  bpffs: BPFFS,
  wait: false,
  replace: false,
} as const;

/* The test files of a run share a network namespace, so each starts at another port. */
let lastPort = 20_000 + ((process.pid * 50) % 10_000);

export class Scene implements Cleanup {
  readonly #undo: (() => unknown)[] = [];
  readonly port = ++lastPort;
  /** The address of the listeners and of the sidecar's SPEC. */
  readonly address: string;
  /** The address that clients connect to. */
  readonly to: string;
  /** The events of the scene's sidecars. */
  readonly log: SidecarEvent[] = [];

  constructor(address: string, to: string) {
    this.address = address;
    this.to = to;
  }

  /** Runs `undo` at the end. */
  defer(undo: () => unknown): void {
    this.#undo.push(undo);
  }

  async end(): Promise<void> {
    while (this.#undo.length > 0) await this.#undo.pop()?.();
  }

  /** Starts a process to own listeners; `under` as for {@link ListenerProcess.start}. */
  async process(under: readonly string[] = []): Promise<ListenerProcess> {
    const result = await ListenerProcess.start(under);
    this.defer(() => result.kill());
    return result;
  }

  /** Opens a listener on the scene's address and port, in `process` or in a new process. */
  async listener(
    options: Partial<ListenOptions> = {},
    process?: ListenerProcess,
  ): Promise<Listener> {
    const owner = process ?? (await this.process());
    return owner.open({ address: this.address, port: this.port, ...options });
  }

  async peers(count: number, options: PeerOptions = {}): Promise<Peer[]> {
    const peers = await openPeers(count, this.to, this.port, options);
    this.defer(() => {
      for (const peer of peers) peer.destroy();
    });
    return peers;
  }

  /** Keeps all handshakes with the scene's port half open; returns a function that ends this. */
  hold(): () => void {
    const release = holdHandshakes(this.port);
    this.defer(release);
    return release;
  }

  /** The SPEC of its address and port: `127.0.0.1:20001`, `[::1]:20001`. */
  get spec(): string {
    return `${this.address.includes(":") ? `[${this.address}]` : this.address}:${this.port}`;
  }

  /**
   * A sidecar that is attached, by default to the scene's address and port, and looks again only
   * when told.
   */
  async sidecar(
    options: Partial<SidecarOptions> & { readonly spec?: string } = {},
  ): Promise<Sidecar> {
    const { spec = this.spec, ...rest } = options;
    const sidecar = new Sidecar({ ...PLAIN, specs: [parseSpec(spec)], ...rest }, (event) =>
      this.log.push(event),
    );
    this.defer(() => sidecar.close({ keep: false }));
    await sidecar.start();
    return sidecar;
  }

  sysctl(name: string, value: number): void {
    this.defer(setSysctl(name, value));
  }
}

/** Returns a test body with a scene; asserts that no pin and no BPF descriptor is left. */
export function scene(
  body: (scene: Scene) => Promise<void>,
  address = "127.0.0.1",
  to = address,
): () => Promise<void> {
  return async () => {
    const before = pins(BPFFS);
    const it = new Scene(address, to);
    try {
      await body(it);
    } finally {
      await it.end();
    }
    assert.deepEqual(pins(BPFFS), before, "pins are left behind");
    assert.deepEqual(borrowedFds(), [], "BPF or borrowed file descriptors are left open");
  };
}
