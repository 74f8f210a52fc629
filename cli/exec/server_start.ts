/** One start of the server: the process of its command, and the daemon that this may leave. */
import { setTimeout as sleep } from "node:timers/promises";
import type { Owner } from "../../loader/core/listener.ts";
import type { ServerCgroup } from "../../loader/host/server_cgroup.ts";
import { message } from "../../loader/log.ts";
import type { Env } from "../env.ts";
import { Child, type Ending } from "../process/child.ts";
import type { ExecContext } from "./context.ts";
import { elsewhere, isOn } from "./elsewhere.ts";

/** Time between two polls of a daemon, which is no child and so sends no SIGCHLD, ms. */
const DAEMON_POLL_MS = 100;

/** What only the caller knows of a start. */
export interface StartState {
  hasListened(): boolean | Promise<boolean>;
  /** It was told to stop, or will be at once: whatever its process leaves has to end too. */
  isStopping(): boolean;
}

export class Server {
  readonly cgroup: ServerCgroup;
  /** The end of its process; of its daemon, if its process has left one. */
  readonly ended: Promise<Ending>;
  readonly #run: ExecContext;
  readonly #number: number;
  readonly #state: StartState;
  readonly #child: Child;
  readonly #startedMs = performance.now();
  #hasExited = false;

  constructor(run: ExecContext, number: number, vars: Env["vars"], state: StartState) {
    this.#run = run;
    this.#number = number;
    this.#state = state;
    this.cgroup = run.cgroup.child(`start-${number}`);
    this.#child = new Child(run.command, this.cgroup, vars);
    this.ended = this.#child.ended.then((ending) => this.#outlived(ending));
  }

  /** Sends a signal to its process, or to the daemon. @throws PermissionError */
  signal(name: NodeJS.Signals): void {
    if (this.#hasExited) this.cgroup.signal(name, this.cgroup.roots());
    else this.#child.signal(name);
  }

  /** Returns a sentence if it does not listen where it should; null if it does, or on an error. */
  elsewhere(): string | null {
    try {
      return elsewhere(this.#run.specs, this.#run.sockets.listeners(this.cgroup.pids()));
    } catch {
      return null; // the sidecar, which reads the host too, logs the error
    }
  }

  async #outlived(ending: Ending): Promise<Ending> {
    this.#hasExited = true;
    try {
      if (ending.code === 0) await this.#daemonEnded();
    } catch (error) {
      this.#run.say("warn", message(error));
    }
    return ending;
  }

  /**
   * Waits for the end of a daemon, the processes that listen on a SPEC. If none does yet, it has
   * until the start timeout.
   */
  async #daemonEnded(): Promise<void> {
    let daemon: readonly Owner[] = [];
    for (; !this.cgroup.empty; await sleep(DAEMON_POLL_MS)) {
      const pids = this.cgroup.pids();
      if (daemon.some(({ pid }) => pids.includes(pid))) continue;
      if (this.#state.isStopping()) return;
      const { specs, sockets } = this.#run;
      const listeners = sockets.listeners(pids).filter((listener) => isOn(specs, listener));
      const owners = listeners.flatMap((listener) => listener.owners);
      if (owners.length === 0 && (daemon.length > 0 || !(await this.#mayListenYet()))) return;
      if (daemon.length === 0 && owners[0]) this.#sayDaemon(owners[0]);
      daemon = owners;
    }
  }

  async #mayListenYet(): Promise<boolean> {
    const isLate = performance.now() - this.#startedMs >= this.#run.timeouts.startTimeoutMs;
    return !isLate && !(await this.#state.hasListened());
  }

  #sayDaemon({ comm, pid }: Owner): void {
    const left = `start ${this.#number} exited with 0 and left a listener (${comm}, pid ${pid})`;
    const how = "run it in the foreground (nginx -g 'daemon off;', haproxy without -D)";
    this.#run.say("warn", `${left}: it daemonizes, and counts as the server now; ${how}`);
  }
}
