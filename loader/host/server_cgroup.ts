/** A cgroup for the processes of a server that exec starts. */
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmdirSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { ConflictError, isExhausted, NotSupportedError, PermissionError } from "../errors.ts";
import { cgroupOf, findCgroup2, isBelow } from "./cgroup.ts";

/**
 * Owns a cgroup below that of this process. Its members are the server's processes: parentage
 * would not do, because a daemon changes its parent.
 */
export class ServerCgroup implements Disposable {
  /** The path as /proc/PID/cgroup writes it. */
  readonly path: string;
  readonly #mount: string;
  readonly #directory: string;

  private constructor(mount: string, path: string) {
    this.path = path;
    this.#mount = mount;
    this.#directory = join(mount, path);
  }

  /**
   * Makes `reuseport-migrate-exec-PID` below the cgroup of this process.
   * @throws NotSupportedError without cgroup v2, PermissionError, ConflictError if it is in use
   */
  static make(): ServerCgroup {
    const mount = findCgroup2();
    const own = cgroupOf(process.pid);
    if (mount === null || own === null || own.startsWith("/..")) {
      throw new NotSupportedError(
        "cgroup v2",
        "exec requires cgroup v2, which is not mounted: run 'mount -t cgroup2 none /sys/fs/cgroup'",
      );
    }
    const name = `reuseport-migrate-exec-${process.pid}`;
    const cgroup = new ServerCgroup(mount, join(own, name));
    if (existsSync(cgroup.#directory)) cgroup.#removeStale();
    cgroup.#create();
    return cgroup;
  }

  /** Makes a cgroup below this one. */
  child(name: string): ServerCgroup {
    const cgroup = new ServerCgroup(this.#mount, join(this.path, name));
    cgroup.#create();
    return cgroup;
  }

  /** The path of `cgroup.procs`: a process that writes its pid there enters the cgroup. */
  get procs(): string {
    return join(this.#directory, "cgroup.procs");
  }

  /** Returns the processes in this cgroup and below. */
  pids(): number[] {
    return this.#below().flatMap((directory) =>
      readFileSync(join(directory, "cgroup.procs"), "utf8").split("\n").filter(Boolean).map(Number),
    );
  }

  has(pid: number): boolean {
    return isBelow(cgroupOf(pid), this.path);
  }

  /** True if it has no process, zombies aside (`populated` of cgroup.events). */
  get empty(): boolean {
    return /^populated 0$/m.test(readFileSync(join(this.#directory, "cgroup.events"), "utf8"));
  }

  /** Returns the processes whose parent is not in the cgroup, such as the master of a daemon. */
  roots(): number[] {
    const pids = this.pids();
    return pids.filter((pid) => !pids.includes(parentOf(pid)));
  }

  /** Sends `signal` to its processes, except those of other users without CAP_KILL. */
  signal(signal: NodeJS.Signals, pids: readonly number[] = this.pids()): void {
    for (const pid of pids) {
      try {
        process.kill(pid, signal);
      } catch (error) {
        const { code } = error as NodeJS.ErrnoException;
        if (code !== "ESRCH" && code !== "EPERM") throw error;
      }
    }
  }

  /** Kills all processes, including those they fork meanwhile (cgroup.kill, Linux 5.14). */
  kill(): void {
    writeFileSync(join(this.#directory, "cgroup.kill"), "1");
  }

  /** Removes the cgroup and all below it. A cgroup that is not empty stays. */
  [Symbol.dispose](): void {
    if (!existsSync(this.#directory)) return;
    for (const directory of this.#below().reverse()) {
      try {
        rmdirSync(directory);
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== "EBUSY") throw error;
      }
    }
  }

  #below(): string[] {
    const below = readdirSync(this.#directory, { withFileTypes: true, recursive: true });
    const directories = below.filter((entry) => entry.isDirectory());
    // Parents before children: a path is longer than its parent's.
    const paths = directories.map(({ parentPath, name }) => join(parentPath, name));
    return [this.#directory, ...paths.toSorted((a, b) => a.length - b.length)];
  }

  /** Removes the cgroup of a killed exec that had the pid of this process. */
  #removeStale(): void {
    this[Symbol.dispose]();
    if (!existsSync(this.#directory)) return;
    throw new ConflictError(
      `cgroup ${this.path} has the server of an exec that was killed: end its processes (${this.pids().join(", ")})`,
    );
  }

  #create(): void {
    try {
      mkdirSync(this.#directory);
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      if (code === "EACCES" || code === "EPERM") {
        throw new PermissionError(
          "CAP_DAC_OVERRIDE",
          `cgroup ${this.path} cannot be made: not permitted; run as root, or in a cgroup delegated to this user`,
          { cause: error },
        );
      }
      throw new NotSupportedError("cgroup v2", `cgroup ${this.path} cannot be made: ${code}`, {
        cause: error,
      });
    }
    // A cgroup below a threaded one cannot have processes (cgroups(7), "domain invalid").
    const type = readFileSync(join(this.#directory, "cgroup.type"), "utf8").trim();
    if (type === "domain") return;
    this[Symbol.dispose]();
    throw new NotSupportedError(
      "cgroup v2",
      `cgroup ${this.path} cannot have processes (its type is '${type}'): start exec from another cgroup`,
    );
  }
}

/** Returns the parent of a process (proc_pid_stat(5)); 0 if the process has ended. */
function parentOf(pid: number): number {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "latin1");
    return Number(stat.slice(stat.lastIndexOf(")")).split(" ")[2]);
  } catch (error) {
    if (isExhausted(error)) throw error;
    return 0;
  }
}
