/**
 * Checks whether a server that just began to listen accepts connections. Until then a hold goes on
 * and the new listeners are no targets. One of them, the candidate, is reachable all the same: the
 * program steers connections from one client port to it.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { type GroupKey, type Listener, NO_QUEUES, type QueuesByCookie } from "../core/listener.ts";
import type { Group } from "../group/group.ts";
import { NO_PROBE } from "../group/plan_codec.ts";
import { borrow } from "../net/borrow.ts";
import { connectTo, openSocket } from "../net/connect.ts";
import * as libc from "../sys/libc.ts";

/** `tcp`: the server accepts a connection. A command: it exits with 0. */
export type ReadyCheck = "tcp" | { readonly command: string };

/** A command that takes longer is killed and counts as not ready. */
const COMMAND_MS = 5_000;

/** Checks one candidate of a group at a time, until it is ready. */
export class ReadyProbe {
  readonly #group: Group;
  readonly #check: ReadyCheck;
  #candidate = 0n;
  #socket = -1;
  #command: ChildProcess | null = null;
  #ready = false;
  /** Client port whose connections are steered to the candidate; 0: none. */
  #port = 0;

  constructor(group: Group, check: ReadyCheck) {
    this.#group = group;
    this.#check = check;
  }

  /** Returns true if the oldest of these listeners is ready; a new one becomes the candidate. */
  poll(listeners: readonly Listener[], queues: QueuesByCookie): boolean {
    const [candidate] = listeners.toSorted((a, b) => Number(a.cookie - b.cookie));
    if (!candidate) {
      this.reset();
      return false;
    }
    if (candidate.cookie !== this.#candidate) this.#setCandidate(candidate);
    if (!this.#ready && this.#check === "tcp") this.#ready = this.#accepted(candidate, queues);
    return this.#ready;
  }

  /**
   * Starts a check, unless one is under way.
   * @requires a plan in force that does not make the candidate a target
   */
  start(listeners: readonly Listener[]): void {
    const candidate = listeners.find(({ cookie }) => cookie === this.#candidate);
    if (!candidate || this.#ready) return;
    if (this.#check === "tcp") this.#connect(candidate.key);
    else this.#run(this.#check.command, candidate);
  }

  /** Forgets the candidate. */
  reset(): void {
    this.#closeSocket();
    this.#command?.kill("SIGKILL");
    this.#command = null;
    if (this.#candidate !== 0n) this.#group.removeListener(this.#group.candidateSlot);
    this.#candidate = 0n;
    this.#ready = false;
    if (this.#port !== 0) this.#steer(0);
  }

  #setCandidate(candidate: Listener): void {
    this.reset();
    const slot = this.#group.candidateSlot;
    const placed = borrow(candidate, (fd) => {
      this.#group.setListener(slot, fd);
      return true;
    });
    if (!placed) return; // it closed after the snapshot
    this.#candidate = candidate.cookie;
    this.#reservePort(candidate.key);
  }

  /** Binds a socket without connecting it: its port stays ours. */
  #reservePort(key: GroupKey): void {
    this.#socket = openSocket(key);
    this.#steer(libc.localPort(this.#socket));
  }

  #steer(port: number): void {
    this.#port = port;
    this.#group.steer(port === 0 ? NO_PROBE : { port, slot: this.#group.candidateSlot });
  }

  #connect(key: GroupKey): void {
    // In any other state it is connecting, or connected.
    if (this.#socket >= 0 && libc.tcpState(this.#socket) === libc.TCP_CLOSE) {
      connectTo(this.#socket, key);
    }
  }

  /** True once it is connected and has left the candidate's queues: accept() returned it. */
  #accepted({ cookie }: Listener, queues: QueuesByCookie): boolean {
    const { length, halfOpen } = queues.get(cookie) ?? NO_QUEUES;
    if (this.#socket < 0 || length > 0 || halfOpen > 0) return false;
    return [libc.TCP_ESTABLISHED, libc.TCP_CLOSE_WAIT].includes(libc.tcpState(this.#socket));
  }

  #run(command: string, candidate: Listener): void {
    if (this.#command !== null) return;
    // Frees the port for the command: `curl --local-port $REUSEPORT_MIGRATE_SOURCE_PORT`.
    this.#closeSocket();
    const { key, owners } = candidate;
    const child = spawn("/bin/sh", ["-c", command], {
      stdio: "ignore",
      timeout: COMMAND_MS,
      env: {
        ...process.env,
        REUSEPORT_MIGRATE_ADDRESS: key.address,
        REUSEPORT_MIGRATE_PORT: String(key.port),
        REUSEPORT_MIGRATE_PID: String(owners[0]?.pid ?? ""),
        REUSEPORT_MIGRATE_SOURCE_PORT: String(this.#port),
      },
    });
    this.#command = child;
    const done = (ok: boolean) => {
      if (this.#command !== child) return;
      this.#command = null;
      if (ok) this.#ready = true;
      else if (this.#candidate !== 0n) this.#reservePort(key); // the last port may be in TIME_WAIT
    };
    child.once("error", () => done(false));
    child.once("exit", (code) => done(code === 0));
  }

  #closeSocket(): void {
    if (this.#socket >= 0) libc.close(this.#socket);
    this.#socket = -1;
  }
}
