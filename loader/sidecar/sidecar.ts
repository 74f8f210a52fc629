/** The sidecar: finds the groups of its services, keeps them managed, and gives them back. */
import { setImmediate as immediate } from "node:timers/promises";
import { findBpffs, PinTree } from "../bpf/pin_tree.ts";
import { ConflictError, UsageError } from "../errors.ts";
import { requireHost } from "../host/capabilities.ts";
import { Journal, type Log, message } from "../log.ts";
import { type Looked, LookScheduler, RECONCILE_MS } from "../observe/look_scheduler.ts";
import { Observer } from "../observe/observer.ts";
import type { Snapshot } from "../observe/snapshot.ts";
import type { GroupStatus, Status } from "../operate/status.ts";
import { everyStep } from "../rollback.ts";
import { StoreServer } from "../store/server.ts";
import { trimMemory } from "../sys/malloc.ts";
import { type Assigned, ServicesByPort } from "./assign.ts";
import { ManagedGroups } from "./managed_groups.ts";
import { Reconciler, type ReconcilerContext } from "./reconciler.ts";
import { Service, type ServiceOptions } from "./service.ts";
import { diffServices, type Reloaded } from "./service_diff.ts";
import { IDLE_MS, type ServicesOptions, type SidecarOptions } from "./sidecar_options.ts";
import { sidecarStatus, tellSidecarStatus } from "./sidecar_status.ts";
import { takeOnAtStart } from "./startup.ts";
import { Wakeups } from "./wakeups.ts";

interface Running {
  readonly pinTree: PinTree;
  readonly observer: Observer;
  readonly passes: Reconciler;
}

/** Manages the groups of some services until it is closed. */
export class Sidecar implements Disposable {
  readonly #options: SidecarOptions | ServicesOptions;
  readonly #openStore: () => StoreServer | null;
  readonly #journal: Journal;
  readonly #waking: Wakeups;
  readonly #groups: ManagedGroups;
  #services: readonly Service[];
  #running: Running | null = null;
  #watch: LookScheduler | null = null;
  #store: StoreServer | null = null;
  #onReleased: () => void = () => {};

  constructor(options: SidecarOptions | ServicesOptions, log: Log = () => {}) {
    this.#options = options;
    this.#openStore = () => (options.store ? new StoreServer(options.store, log) : null);
    this.#journal = new Journal(log);
    this.#waking = new Wakeups(this.#journal);
    this.#groups = new ManagedGroups(this.#journal, this.#waking);
    const services = "services" in options ? options.services : [options];
    this.#services = services.map((service) => this.#service(service));
  }

  /**
   * Attaches to every group that matches. One service: all or nothing, when one group refuses,
   * those attached before it are given back. Several: a conflict of one is said and tried again.
   * @throws NoMatchError, ForeignProgramError, AlreadyManagedError, StandbyError, LockedError,
   *   AbiMismatchError, PermissionError, NotSupportedError
   */
  start(): void {
    for (const _turn of this.#starting());
  }

  /** As {@link start}, while the event loop goes on: with many groups it takes long. A {@link close} ends it. */
  async startInTurns(): Promise<void> {
    for (const _turn of this.#starting()) {
      await immediate();
      if (this.#running === null) return;
    }
  }

  /** Yields when others should have their turn. */
  *#starting(): Generator<void> {
    requireHost();
    const pinTree = new PinTree(findBpffs(this.#options.bpffs));
    const observer = new Observer();
    this.#running = { pinTree, observer, passes: new Reconciler(this.#place(pinTree, observer)) };
    let complete = false;
    try {
      this.#store = this.#openStore();
      for (const service of this.#services) service.locate();
      const takeOn = (match: Assigned) =>
        this.#attempt(match.name, () => this.#groups.takeOn(pinTree, match));
      const listeners = yield* takeOnAtStart(this.#running, this.#services, takeOn);
      using _lock = pinTree.lock();
      for (const service of this.#services) {
        const about = `adoption ${service.label}`;
        this.#attempt(about, () => service.adopt(pinTree, listeners));
      }
      complete = true;
    } finally {
      if (!complete && this.#running !== null) this.#undo();
    }
  }

  /**
   * Looks again on bind events and once every RECONCILE_MS, until closed.
   * @param released called when `detach` has taken the last group from us
   */
  watch(released: () => void = () => {}): void {
    this.#onReleased = released;
    this.#watch = new LookScheduler(
      (at) => this.#look(at),
      () => this.#use().passes.isQuiet,
    );
    this.#listen();
    this.#look(); // what happened since start()
    trimMemory(); // libbpf has read the kernel's BTF, which is large, for each program
    void this.#waking.tryOut(this.#services, () => this.#groups.wake());
  }

  /**
   * Other services from now on. What is the same is not touched; another policy is put in force
   * without a gap; groups that no service covers any more are given back. What is refused is said,
   * and tried again in every pass.
   */
  reload(wanted: readonly ServiceOptions[]): Reloaded {
    const { services, retired, report } = diffServices(this.#services, wanted, (options) =>
      this.#service(options),
    );
    this.#succeed(services, retired);
    this.#listen();
    this.#look();
    void this.#waking.tryOut(this.#services, () => this.#groups.wake());
    return report;
  }

  #succeed(services: readonly Service[], retired: readonly Service[]): void {
    const { pinTree, observer, passes } = this.#use();
    using _lock = pinTree.lock();
    passes.drop();
    const { groups } = observer.snapshot();
    this.#services = services;
    for (const service of services) service.locate();
    for (const service of retired) {
      this.#journal.attempt("adoption", () => service.unadopt(pinTree, services));
      service.retire();
    }
    this.#groups.reassign(groups, new ServicesByPort(services));
  }

  #service(options: ServiceOptions): Service {
    return new Service(options, this.#journal, () => this.#look());
  }

  #listen(): void {
    try {
      this.#watch?.listen(new Set(this.#services.flatMap(({ ports }) => ports)));
    } catch (error) {
      const late = `a new listener becomes a target within ${RECONCILE_MS} ms`;
      this.#journal.warn("events", `no bind events (${message(error)}): ${late}`);
    }
  }

  #look(at: Looked = "all"): void {
    this.#running?.passes.look(at);
  }

  /** One observe-plan-apply pass over all groups, whatever is due. */
  reconcile(): void {
    this.#use().passes.whole();
  }

  #place(pinTree: PinTree, observer: Observer): ReconcilerContext {
    return {
      pinTree,
      observer,
      groups: this.#groups,
      journal: this.#journal,
      idleMs: this.#options.idleMs ?? IDLE_MS,
      services: () => this.#services,
      soon: (afterMs) => this.#watch?.soon(afterMs),
      stir: () => this.#watch?.stir(),
      released: () => this.#onReleased(),
    };
  }

  /** Status of the managed groups, from the kernel. */
  status(): Status {
    return sidecarStatus(this.#use(), this.#groups, this.#services);
  }

  /** As {@link status}, while other things go on: each group is told as it is read, the result has none. */
  async tellStatus(each: (group: GroupStatus) => void): Promise<Status> {
    return tellSidecarStatus(this.#use(), each, this.#groups, this.#services);
  }

  /** Its store, while it runs one. */
  get store(): StoreServer | null {
    return this.#store;
  }

  /** Ends. Detaches and unpins what it manages, or with `keep` leaves all of it in force. */
  close(options: { readonly keep?: boolean } = {}): void {
    if (this.#running === null) return;
    this.#watch?.[Symbol.dispose]();
    this.#watch = null;
    this.#store?.[Symbol.dispose](); // first: what it holds migrates while the program is attached
    this.#end((pinTree, read) => {
      if (options.keep) return this.#groups.leave(read());
      everyStep([
        () => this.#groups.detach(pinTree, read, ({ group }) => pinTree.has(group.name)),
        ...this.#services.map((service) => () => service.unadopt(pinTree)),
      ]);
    });
  }

  [Symbol.dispose](): void {
    this.close();
  }

  #use() {
    if (this.#running === null) throw new Error("Sidecar is not running");
    return this.#running;
  }

  /** With several services a conflict of one does not stop the others. */
  #attempt(about: string, step: () => void): void {
    try {
      step();
    } catch (error) {
      const lasting = error instanceof ConflictError || error instanceof UsageError;
      if (!("services" in this.#options) || !lasting) throw error;
      this.#journal.warn(about, message(error));
    }
  }

  /** After a refusal: gives back what this start took, leaves what it found. */
  #undo(): void {
    if (this.#groups.size === 0) this.#forget();
    else this.#end((pinTree, read) => this.#groups.detach(pinTree, read, ({ isNew }) => isNew));
  }

  /** Takes the last step, and forgets everything whatever becomes of it. */
  #end(last: (pinTree: PinTree, read: () => Snapshot["groups"]) => void): void {
    const { pinTree, observer } = this.#use();
    try {
      using _lock = pinTree.lock();
      last(pinTree, () => observer.snapshot().groups);
    } finally {
      this.#forget();
    }
  }

  #forget(): void {
    const { pinTree, passes, observer } = this.#use();
    this.#store?.[Symbol.dispose]();
    this.#groups[Symbol.dispose]();
    passes[Symbol.dispose]();
    observer[Symbol.dispose]();
    this.#running = null;
    pinTree.tidy();
  }
}
