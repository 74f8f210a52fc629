/**
 * The standby of one group: opens it, keeps its socket options like those of its listeners, closes
 * it, and counts what it had.
 */
import { type Listener, NO_QUEUES } from "../core/listener.ts";
import type { Plan } from "../core/plan.ts";
import type { HoldPolicy } from "../core/slot.ts";
import type { Group } from "../group/group.ts";
import type { HeldConnections } from "../group/hold_record.ts";
import { socketOptionsOf } from "../net/foreign_listener.ts";
import { optionsDigest, type SocketOptions } from "../net/socket_options.ts";
import { StandbySocket } from "../net/standby_socket.ts";
import { Owned } from "../owned.ts";
import { placeListener } from "./members.ts";
import { endStandby, type SeenStandby } from "./standby_end.ts";

/** What a group's standby stands beside. */
export interface Beside {
  /** The listeners that may be targets, without the standby. */
  readonly listeners: readonly Listener[];
  readonly plan: Plan;
}

const UNSEEN: SeenStandby = { queues: NO_QUEUES, hasOthers: false };

export class GroupStandby implements Disposable {
  readonly #group: Group;
  readonly #arrived: () => void;
  #socket: StandbySocket | null = null;
  /** Digest of its socket options. */
  #optionsDigest = 0n;
  /** Cookie of the standby before: its handshakes may still migrate. */
  #previousCookie = 0n;
  #seen: SeenStandby = UNSEEN;
  /** The counts after the last end: a command that shuts the standby down adds to them. */
  #counted: HeldConnections;

  /** @param arrived called when a connection arrives at the standby */
  constructor(group: Group, arrived: () => void) {
    this.#group = group;
    this.#arrived = arrived;
    this.#counted = group.holdCounts.connections;
  }

  get isOpen(): boolean {
    return this.#socket !== null;
  }

  /** Another process has shut it down. */
  get isShutDown(): boolean {
    return this.#socket?.queueLength === null;
  }

  /** Number of connections that it has. */
  get queueLength(): number {
    return this.#socket?.queueLength ?? 0;
  }

  /** Names of the socket options in which it differs from the group's listeners. */
  get differs(): readonly string[] {
    return this.#socket?.differs ?? [];
  }

  /** Upper bound on the connections it holds; null without a standby. */
  get backlog(): number | null {
    return this.#socket?.backlog ?? null;
  }

  resize(max: number): void {
    this.#socket?.resize(max);
  }

  /** Notes what a snapshot shows. */
  note(seen: SeenStandby): void {
    this.#seen = seen;
  }

  /** Takes over the standby of a sidecar that is gone. Returns false if its keeper has ended. */
  takeOver(standby: Listener, plan: Plan, { timeMs, max }: HoldPolicy): boolean {
    const group = this.#group;
    const socket = StandbySocket.takeOver(standby, timeMs);
    if (socket === null) return false;
    this.#socket = socket;
    socket.resize(max);
    // That sidecar may have been killed between these, or have been of another version.
    this.#record(socket, group.standby.options, plan);
    socket.place((fd) => group.setListener(group.standbySlot, fd));
    socket.watch(this.#arrived);
    return true;
  }

  /**
   * Opens a standby with the options of the newest listener.
   * @throws PermissionError, StandbyError
   */
  open(owner: number, { listeners, plan }: Beside, policy: HoldPolicy): void {
    const group = this.#group;
    const model = modelOf(listeners, plan);
    const options = (model && socketOptionsOf(model)) ?? group.standby.options;
    using own = new Owned();
    const socket = own.use(StandbySocket.open(group.record.key, owner, options, policy));
    if (this.#previousCookie !== 0n) group.removeSource(this.#previousCookie);
    this.#previousCookie = group.standby.cookie;
    this.#record(socket, options, plan);
    socket.place((fd) => group.setListener(group.standbySlot, fd));
    this.#socket = own.release(socket);
    socket.watch(this.#arrived);
  }

  /** Copies the options of its model, which may change while that listens. */
  copyOptions({ listeners, plan }: Beside): void {
    const model = modelOf(listeners, plan);
    const digest = plan.slots.find(({ cookie }) => cookie === model?.cookie)?.optionsDigest;
    if (this.#socket === null || !model || !digest || digest === this.#optionsDigest) return;
    const options = socketOptionsOf(model);
    if (options === undefined) return;
    this.#socket.copyOptions(options);
    this.#record(this.#socket, options, plan);
  }

  /**
   * Puts it into an instance that is going to replace the group's.
   * @param standby in the snapshot; a keeper may have it, from which it is taken over later
   */
  enter(next: Group, standby: Listener | undefined): void {
    if (this.#socket) this.#socket.place((fd) => next.setListener(next.standbySlot, fd));
    else if (standby) placeListener(next, next.standbySlot, standby);
  }

  /** Returns its socket, which the caller closes with {@link end}; it has none then. */
  take(): StandbySocket | null {
    const socket = this.#socket;
    this.#socket = null;
    return socket;
  }

  /** Closes a socket of {@link take}. Returns what became of its connections. */
  end(socket: StandbySocket | null): HeldConnections {
    endStandby(this.#group, this.#seen, () => {
      const length = socket?.queueLength ?? null; // null: a command shut it down, and counted
      socket?.[Symbol.dispose]();
      return length;
    });
    this.#seen = UNSEEN;
    const before = this.#counted;
    this.#counted = this.#group.holdCounts.connections;
    return {
      handed_over: this.#counted.handed_over - before.handed_over,
      reset: this.#counted.reset - before.reset,
    };
  }

  /** Leaves it to the keeper: a successor goes on with the hold. */
  leave(): void {
    this.take()?.leave();
  }

  [Symbol.dispose](): void {
    this.end(this.take());
  }

  /**
   * Records a standby for the program and for status; its class is that of listeners with its
   * options.
   */
  #record({ cookie }: StandbySocket, options: SocketOptions, plan: Plan): void {
    const digest = optionsDigest(options);
    const like = plan.slots.find((slot) => slot.optionsDigest === digest);
    const slot = this.#group.standbySlot;
    this.#group.setSource({ cookie, slot, class: like?.class ?? 0 });
    this.#group.setStandby({ ...this.#group.standby, cookie, options });
    this.#optionsDigest = digest;
  }
}

/** Returns the listener whose options the standby copies: the first of the newest generation. */
function modelOf(listeners: readonly Listener[], plan: Plan): Listener | undefined {
  const [newest] = plan.slots
    .filter(({ closedMs }) => closedMs === null)
    .toSorted((a, b) => b.generation - a.generation || a.slot - b.slot);
  return listeners.find(({ cookie }) => cookie === newest?.cookie);
}
