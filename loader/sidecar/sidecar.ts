/** The sidecar: takes on the groups of its services, keeps them managed, and gives them back. */
import { EventLog } from "../events/event_log.ts";
import { requireHost } from "../host/capabilities.ts";
import { Journal, type Log } from "../log.ts";
import type { Snapshot } from "../observe/snapshot.ts";
import type { GroupStatus, Status } from "../operate/status.ts";
import { everyStep } from "../rollback.ts";
import { type Outline, outlineOf } from "../service/outline.ts";
import { type OwnedMatch, ServicesByPort } from "../service/ownership.ts";
import { Service, type ServiceOptions } from "../service/service.ts";
import { diffServices, type Reloaded } from "../service/service_diff.ts";
import { UnmatchedSpecs } from "../service/unmatched.ts";
import type { StoreServer } from "../store/server.ts";
import { trimMemory } from "../sys/own_process.ts";
import {
  detachGroups,
  listenToBinds,
  openRunning,
  openStore,
  probeWakeups,
  type Running,
} from "./running.ts";
import type { ReconcilerEvents, ServicesOptions, SidecarOptions } from "./sidecar_options.ts";
import { sidecarStatus } from "./sidecar_status.ts";
import { adoptAtStart, takeOnAtStart } from "./startup.ts";

const NOT_RUNNING = "Sidecar is not running";

/** Manages the groups of its services until it is closed. Its methods never block on a lock. */
export class Sidecar implements AsyncDisposable {
  readonly #options: SidecarOptions | ServicesOptions;
  /** Its log: what it says, and may be added to. */
  readonly events: EventLog;
  readonly #journal: Journal;
  #services: readonly Service[];
  #running: Running | null = null;
  #store: StoreServer | null = null;
  #closed: Promise<void> = Promise.resolve();
  /** SPECs that cover no group. */
  readonly unmatched: UnmatchedSpecs;

  constructor(options: SidecarOptions | ServicesOptions, log: Log = () => {}) {
    this.#options = options;
    this.events = new EventLog(log);
    this.#journal = new Journal(this.events.log);
    this.unmatched = new UnmatchedSpecs(this.#journal);
    const services = "services" in options ? options.services : [options];
    this.#services = services.map((service) => this.#service(service));
  }

  /**
   * Attaches to every group that matches. A refusal concerns one group: it is logged and tried
   * again. A {@link close} meanwhile ends it.
   * @throws NoMatchError, LockedError, PermissionError, NotSupportedError; and the first refusal
   *   (ForeignProgramError, AlreadyManagedError, StandbyError, AbiMismatchError, ...) if no group
   *   could be attached and no service waits
   */
  async start(): Promise<void> {
    requireHost("attach");
    const running = openRunning(this.#options, this.#services, this.#journal, this.events);
    this.#running = running;
    const { pinTree, observer, groups } = running;
    try {
      this.#store = await openStore(running, this.#options, this.events.log);
      if (running.isClosing) return;
      for (const service of this.#services) service.locate();
      const refused: unknown[] = [];
      const takeOn = (match: OwnedMatch) => {
        const error = groups.takeOn(match);
        if (error !== null) refused.push(error);
      };
      const context = {
        pinTree,
        observer,
        isClosing: () => running.isClosing,
        select: groups.select.bind(groups),
      };
      const listeners = await takeOnAtStart(context, this.#services, takeOn);
      if (running.isClosing) return;
      const isRefused = groups.size === 0 && refused.length > 0;
      if (isRefused && !this.#services.some(({ waits }) => waits)) throw refused[0];
      using _lock = await pinTree.lock();
      if (!running.isClosing) {
        const warn = "services" in this.#options ? this.#journal : null;
        adoptAtStart(pinTree, this.#services, listeners, warn);
      }
      await this.unmatched.find(this.#services, listeners, groups);
    } catch (error) {
      if (running.isClosing) return;
      await this.#end(running, async () => {
        if (groups.size === 0) return;
        using _lock = await pinTree.lock();
        await detachGroups(running, ({ origin }) => origin === "new");
      });
      throw error;
    } finally {
      if (running.isClosing) pinTree.tidy(); // taking the lock may have made its directory
    }
  }

  /** Polls the host after bind events, and once every RECONCILE_MS at least, until closed. */
  watch(events: ReconcilerEvents = {}): void {
    const running = this.#use();
    listenToBinds(running, this.#journal);
    const settled = (snapshot: Snapshot | null) => {
      this.unmatched.look(this.#services, snapshot?.listeners ?? [], running.groups);
      events.settled?.(snapshot);
    };
    running.watching = running.reconciler.run({ ...events, settled });
    trimMemory(); // of the start, at once
    void probeWakeups(running, this.#services, this.#journal);
  }

  /**
   * Replaces the services. An unchanged one is not touched; a changed policy is put in force
   * without a gap; groups that no service covers any longer are given back. A refusal is logged,
   * and every pass tries again.
   */
  async reload(requested: readonly ServiceOptions[]): Promise<Reloaded> {
    const running = this.#use();
    const report = await this.#replaceServices(running, requested);
    if (running.watching) {
      listenToBinds(running, this.#journal);
      void probeWakeups(running, this.#services, this.#journal);
    }
    await running.reconciler.pollOnce();
    const { listeners } = await running.observer.snapshot();
    await this.unmatched.find(this.#services, listeners, running.groups);
    return report;
  }

  /** Polls the host as soon as possible: the caller knows of a change, such as a server's exit. */
  poll(): void {
    this.#running?.reconciler.pollNow();
  }

  /** Makes one observe-plan-apply pass over every group, even if nothing is due. */
  reconcile(): Promise<void> {
    return this.#use().reconciler.reconcile();
  }

  /**
   * Reads the status of the managed groups; the event loop turns meanwhile.
   * @param each called with each group as soon as it is read; the result then has none
   */
  async status(each?: (group: GroupStatus) => void): Promise<Status> {
    const read: GroupStatus[] = [];
    const tell = each ?? ((group: GroupStatus) => read.push(group));
    return { ...(await sidecarStatus(this.#use(), this.#services, tell)), groups: read };
  }

  /** What it guards, in short, as its last poll saw it; null if it does not run. */
  get outline(): Outline | null {
    return this.#running && outlineOf(this.#running.groups.all, this.unmatched.reasons);
  }

  /** Its store; null if it runs none. */
  get store(): StoreServer | null {
    return this.#store;
  }

  /** Ends. Detaches and unpins every group it manages; with `keep`, leaves them in force. */
  close(options: { readonly keep?: boolean } = {}): Promise<void> {
    const running = this.#running;
    if (running === null) return Promise.resolve();
    if (running.isClosing) return this.#closed;
    const { pinTree, observer, groups } = running;
    return this.#end(running, async () => {
      using _lock = await pinTree.lock();
      if (options.keep) {
        await groups.leave((await observer.snapshot()).groups);
      } else {
        await everyStep([
          () => detachGroups(running, ({ group }) => pinTree.has(group.name)),
          ...this.#services.map((service) => () => service.unadopt(pinTree)),
        ]);
      }
    });
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  #use(): Running {
    if (this.#running === null) throw new Error(NOT_RUNNING);
    return this.#running;
  }

  #service(options: ServiceOptions): Service {
    return new Service(options, this.#journal, () => this.poll());
  }

  async #replaceServices(
    running: Running,
    requested: readonly ServiceOptions[],
  ): Promise<Reloaded> {
    const { pinTree, observer, groups, reconciler } = running;
    using _lock = await pinTree.lock();
    const members = (await observer.snapshot()).groups;
    if (running.isClosing) throw new Error(NOT_RUNNING);
    const { services, retired, report } = diffServices(this.#services, requested, (options) =>
      this.#service(options),
    );
    for (const service of services) service.locate();
    groups.reassign(members, new ServicesByPort(services));
    this.#services = services;
    for (const service of retired) {
      this.#journal.attempt("adoption", () => service.unadopt(pinTree, services));
      service.retire();
    }
    reconciler.replaceServices(services);
    return report;
  }

  /** Stops polling, takes the last step, and releases everything even if that fails. */
  #end(running: Running, last: () => Promise<void>): Promise<void> {
    const { pinTree, observer, groups, reconciler } = running;
    running.isClosing = true;
    running.events?.[Symbol.dispose]();
    reconciler[Symbol.dispose]();
    this.#store?.[Symbol.dispose](); // before the program is detached: its connections migrate
    this.#closed = last().finally(async () => {
      groups[Symbol.dispose]();
      await running.watching;
      await observer.close();
      running.releaseLender();
      this.#running = null;
      pinTree.tidy();
    });
    return this.#closed;
  }
}
