/**
 * Whether a server that has just begun to listen accepts. Until it does a hold goes on and the
 * server's listeners are no targets; so that it can be asked all the same, connections from one
 * client port are steered to the candidate, one of those listeners.
 */
import { type ChildProcess, spawn } from "node:child_process";
import type { GroupKey, Listener } from "../core/listener.ts";
import type { Group } from "../group/group.ts";
import { NO_PROBE } from "../group/plan_codec.ts";
import { borrow } from "../net/borrow.ts";
import { connectTo, openSocket } from "../net/connect.ts";
import * as libc from "../sys/libc.ts";

/** `tcp`: a connection to it is accepted. A command: it exits with 0. */
export type ReadyCheck = "tcp" | { readonly command: string };

/** A command that takes longer is ended and counts as not ready. */
const COMMAND_MS = 5_000;

/** Asks the candidate of one group, again and again until it is ready. */
export class ReadyProbe implements Disposable {
  readonly #group: Group;
  readonly #check: ReadyCheck;
  #candidate = 0n;
  #probe = -1;
  #command: ChildProcess | null = null;
  #ready = false;
  /** Client port that is steered to the candidate; 0: none. */
  #port = 0;

  constructor(group: Group, check: ReadyCheck) {
    this.#group = group;
    this.#check = check;
  }

  /** One look at the group's new listeners; true when one of them accepts. */
  look(listeners: readonly Listener[]): boolean {
    const [candidate] = listeners.toSorted((a, b) => Number(a.cookie - b.cookie));
    if (!candidate) {
      this[Symbol.dispose]();
      return false;
    }
    if (candidate.cookie !== this.#candidate) this.#take(candidate);
    if (!this.#ready && this.#check === "tcp") this.#ready = this.#accepted(candidate);
    return this.#ready;
  }

  /** Asks, unless it is being asked. */
  ask(candidateOf: readonly Listener[]): void {
    const candidate = candidateOf.find(({ cookie }) => cookie === this.#candidate);
    if (!candidate || this.#ready) return;
    if (this.#check === "tcp") this.#connect(candidate.key);
    else this.#run(this.#check.command, candidate);
  }

  /** Forgets the candidate. */
  [Symbol.dispose](): void {
    this.#hangUp();
    this.#command?.kill("SIGKILL");
    this.#command = null;
    if (this.#candidate !== 0n) this.#group.removeListener(this.#group.candidateSlot);
    this.#candidate = 0n;
    this.#ready = false;
    if (this.#port !== 0) this.#steer(0);
  }

  #take(candidate: Listener): void {
    this[Symbol.dispose]();
    const slot = this.#group.candidateSlot;
    const placed = borrow(candidate, (fd) => {
      this.#group.setListener(slot, fd);
      return true;
    });
    if (!placed) return; // gone since it was observed
    this.#candidate = candidate.cookie;
    this.#reserve(candidate.key);
  }

  /** A socket that is bound, and not connected yet: its port is ours. */
  #reserve(key: GroupKey): void {
    this.#probe = openSocket(key);
    this.#steer(libc.localPort(this.#probe));
  }

  #steer(port: number): void {
    this.#port = port;
    this.#group.steer(port === 0 ? NO_PROBE : { port, slot: this.#group.candidateSlot });
  }

  #connect(key: GroupKey): void {
    // Else it is on its way, or there.
    if (this.#probe >= 0 && libc.tcpState(this.#probe) === libc.TCP_CLOSE) {
      connectTo(this.#probe, key);
    }
  }

  /** It is connected, and no longer in the candidate's queues: accept() took it. */
  #accepted({ queueLength, halfOpen }: Listener): boolean {
    if (this.#probe < 0 || queueLength > 0 || halfOpen > 0) return false;
    return [libc.TCP_ESTABLISHED, libc.TCP_CLOSE_WAIT].includes(libc.tcpState(this.#probe));
  }

  #run(command: string, candidate: Listener): void {
    if (this.#command !== null) return;
    // The command may use the port itself: `curl --local-port $REUSEPORT_MIGRATE_SOURCE_PORT`.
    this.#hangUp();
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
      else if (this.#candidate !== 0n) this.#reserve(key); // another port: the last one may be in TIME_WAIT
    };
    child.once("error", () => done(false));
    child.once("exit", (code) => done(code === 0));
  }

  #hangUp(): void {
    if (this.#probe >= 0) libc.close(this.#probe);
    this.#probe = -1;
  }
}
