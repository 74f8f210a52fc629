/**
 * Checks whether a server that just began to listen accepts connections. Until then its listeners
 * are no targets. One of them, the candidate, is reachable all the same: the program steers
 * connections from one client port to it.
 */
import { isSelectable, type Listener } from "../core/listener.ts";
import type { Group } from "../group/group.ts";
import { NO_PROBE } from "../group/plan_codec.ts";
import { SteeredConnection } from "../group/steered_connection.ts";
import { cgroupOf } from "../host/cgroup.ts";
import { BareCommand } from "../net/bare_command.ts";
import { openSocket } from "../net/connect.ts";
import { queueLengthOf } from "../net/foreign_listener.ts";
import { Owned } from "../owned.ts";
import * as libc from "../sys/libc.ts";
import { placed, placeListener } from "./members.ts";

/** `tcp`: the server accepts a connection. A command: it exits with 0. */
export type ReadyCheck = "tcp" | { readonly command: string };

/** A command that takes longer is killed and counts as not ready. */
const COMMAND_MS = 5_000;
/** If several listeners are new, each is checked for this time in turn, ms. */
const TURN_MS = 1_000;

const UNREACHABLE =
  "the ready check cannot connect to the new listener: no address of this host leads to it; give a command as --ready-check";

/** Keeps new listeners from becoming targets until their server is ready. */
export class ReadyGate implements Disposable {
  readonly #group: Group;
  readonly #probe: ReadyProbe;
  /** Cookies of listeners that are ready; they get slots next, if there are any left. */
  readonly #passed = new Set<bigint>();
  #isChecking = false;
  #failure: string | null = null;

  constructor(group: Group, check: ReadyCheck) {
    this.#group = group;
    this.#probe = new ReadyProbe(group, check);
  }

  /**
   * Returns the listeners that may be targets: those that are already, and new ones that are ready.
   * @param oneForAll as soon as one is ready, all are; else only those in its cgroup
   */
  admit(listeners: readonly Listener[], oneForAll: boolean): readonly Listener[] {
    this.#failure = null;
    const present = new Set(listeners.map(({ cookie }) => cookie));
    for (const cookie of this.#passed) if (!present.has(cookie)) this.#passed.delete(cookie);
    const waiting = this.#waiting(listeners);
    const ready = this.#attempt(() => this.#probe.poll(waiting)) ?? null;
    if (ready !== null) this.#pass(ready, waiting, oneForAll);
    const late = new Set(waiting.filter(({ cookie }) => !this.#passed.has(cookie)));
    this.#isChecking = late.size > 0;
    return listeners.filter((one) => !late.has(one));
  }

  /** As {@link ReadyProbe.advance}. */
  advance(listeners: readonly Listener[]): void {
    if (this.#isChecking) this.#attempt(() => this.#probe.advance(listeners));
  }

  /** Some listener is not ready: {@link admit} must be called again soon. */
  get isChecking(): boolean {
    return this.#isChecking;
  }

  get warnings(): string[] {
    return [this.#failure ?? this.#probe.warning].filter((text) => text !== null);
  }

  /** Forgets everything. */
  [Symbol.dispose](): void {
    this.#probe[Symbol.dispose]();
    this.#passed.clear();
    this.#isChecking = false;
    this.#failure = null;
  }

  #pass(ready: Listener, waiting: readonly Listener[], oneForAll: boolean): void {
    const server = serverOf(ready);
    for (const one of waiting) {
      if (oneForAll || serverOf(one) === server) this.#passed.add(one.cookie);
    }
    this.#probe[Symbol.dispose]();
  }

  /** Returns the listeners that must be ready first; a program selects none of another kind. */
  #waiting(listeners: readonly Listener[]): Listener[] {
    const targets = new Set(placed(this.#group, listeners));
    return listeners.filter(
      (one) => isSelectable(one) && !targets.has(one) && !this.#passed.has(one.cookie),
    );
  }

  /** A check that fails means that the server is not ready, and must not stop a hold from ending. */
  #attempt<T>(step: () => T): T | undefined {
    try {
      return step();
    } catch (error) {
      this.#failure = `the ready check failed: ${(error as Error).message}`;
      return undefined;
    }
  }
}

/** Returns what tells the servers of one group apart: each has a cgroup of its own, if any has. */
function serverOf({ owners: [owner] }: Listener): string | null {
  return owner ? cgroupOf(owner.pid) : null;
}

/**
 * Returns the listeners in the order of their turns: those of the server whose last turn is longest
 * ago first, and of them the one whose own is. One listener stands for its server, unless it never
 * accepts.
 * @param turns number of the last turn by cookie
 */
function inTurn(listeners: readonly Listener[], turns: ReadonlyMap<bigint, number>): Listener[] {
  const servers = new Map<string | null, number>();
  const all = listeners.map((listener) => {
    const [server, turn] = [serverOf(listener), turns.get(listener.cookie) ?? 0];
    servers.set(server, Math.max(turn, servers.get(server) ?? 0));
    return { listener, server, turn };
  });
  const ofServer = (server: string | null) => servers.get(server) ?? 0;
  return all
    .sort((a, b) => ofServer(a.server) - ofServer(b.server) || a.turn - b.turn)
    .map(({ listener }) => listener);
}

/** Checks one candidate of a group at a time, until it is ready. */
class ReadyProbe implements Disposable {
  readonly #group: Group;
  readonly #check: ReadyCheck;
  #candidate = 0n;
  /** Number of the last turn of each listener, and of the last turn of all. */
  readonly #turns = new Map<bigint, number>();
  #turn = 0;
  #sinceMs = 0;
  #connection: SteeredConnection | null = null;
  #command: BareCommand | null = null;
  #hasPassed = false;

  constructor(group: Group, check: ReadyCheck) {
    this.#group = group;
    this.#check = check;
  }

  /** Returns the candidate if it is ready; if not, another of these listeners may become it. */
  poll(listeners: readonly Listener[]): Listener | null {
    const current = listeners.find(({ cookie }) => cookie === this.#candidate);
    if (current && this.#isReady(current)) return current;
    if (current && (this.#isBusy || listeners.length === 1)) return null;
    this[Symbol.dispose]();
    const present = new Set(listeners.map(({ cookie }) => cookie));
    for (const cookie of this.#turns.keys()) if (!present.has(cookie)) this.#turns.delete(cookie);
    const others = inTurn(listeners, this.#turns).filter((one) => one !== current);
    const { candidateSlot } = this.#group;
    const next = others.find((one) => placeListener(this.#group, candidateSlot, one));
    this.#candidate = next?.cookie ?? 0n;
    if (next) this.#turns.set(next.cookie, ++this.#turn);
    this.#sinceMs = performance.now();
    return null;
  }

  get #isBusy(): boolean {
    return performance.now() - this.#sinceMs < TURN_MS || this.#command !== null;
  }

  /**
   * Starts a check, or goes on with it.
   * @requires a plan in force that does not make the candidate a target
   */
  advance(listeners: readonly Listener[]): void {
    const candidate = listeners.find(({ cookie }) => cookie === this.#candidate);
    if (!candidate) return;
    if (this.#check !== "tcp") {
      if (!this.#hasPassed) this.#command ??= this.#run(this.#check.command, candidate);
      return;
    }
    const { candidateSlot } = this.#group;
    this.#connection ??= new SteeredConnection(this.#group, candidateSlot, candidate.key);
    this.#connection.advance();
  }

  /** Why the check cannot succeed, if it cannot. */
  get warning(): string | null {
    return this.#connection?.isUnreachable ? UNREACHABLE : null;
  }

  /** Forgets the candidate. */
  [Symbol.dispose](): void {
    this.#connection?.[Symbol.dispose]();
    this.#connection = null;
    this.#command?.[Symbol.dispose]();
    this.#command = null;
    this.#hasPassed = false;
    if (this.#candidate === 0n) return;
    this.#group.steer(NO_PROBE);
    this.#group.removeListener(this.#group.candidateSlot);
    this.#candidate = 0n;
  }

  #isReady(candidate: Listener): boolean {
    if (this.#check !== "tcp") return this.#hasPassed;
    const progress = this.#connection?.advance() ?? "pending";
    if (progress === "pending") return false;
    // Read now: the queues of a snapshot can be older than the connection.
    const length = queueLengthOf(candidate);
    return length === 0 || (length !== undefined && progress === "ended");
  }

  #run(command: string, { key, owners }: Listener): BareCommand {
    const port = this.#steerFreePort(key);
    const vars = {
      REUSEPORT_MIGRATE_ADDRESS: key.address,
      REUSEPORT_MIGRATE_PORT: String(key.port),
      REUSEPORT_MIGRATE_PID: String(owners[0]?.pid ?? ""),
      REUSEPORT_MIGRATE_SOURCE_PORT: String(port),
    };
    const options = { netns: key.netns, vars, timeoutMs: COMMAND_MS };
    return new BareCommand(command, options, (isOk) => {
      this.#command = null;
      this.#hasPassed = isOk;
      this.#group.steer(NO_PROBE);
    });
  }

  /** The last port of a command may be in TIME_WAIT, so each gets another one. */
  #steerFreePort(key: Listener["key"]): number {
    using opened = new Owned();
    const port = libc.localPort(opened.fd(openSocket(key)));
    this.#group.steer({ port, slot: this.#group.candidateSlot });
    return port;
  }
}
