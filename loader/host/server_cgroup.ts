/** A cgroup for the processes of a server that we start ourselves: below our own, removed at the end. */
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmdirSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { ConflictError, NotSupportedError, PermissionError } from "../errors.ts";
import { cgroupOf, findCgroup2, isBelow } from "./cgroup.ts";

/** Membership is what makes a process the server's: parentage is lost when it daemonizes. */
export class ServerCgroup implements Disposable {
  /** As in /proc/PID/cgroup. */
  readonly path: string;
  readonly #mount: string;
  readonly #directory: string;

  private constructor(mount: string, path: string) {
    this.path = path;
    this.#mount = mount;
    this.#directory = join(mount, path);
  }

  /**
   * Makes `reuseport-migrate-exec-PID` below our own cgroup.
   * @throws NotSupportedError without cgroup v2, PermissionError, ConflictError when it is in use
   */
  static make(): ServerCgroup {
    const mount = findCgroup2();
    const own = cgroupOf(process.pid);
    if (mount === null || own === null || own.startsWith("/..")) {
      throw new NotSupportedError(
        "cgroup v2",
        "exec wants a cgroup for the server, and no cgroup v2 of ours is mounted: mount -t cgroup2 none /sys/fs/cgroup",
      );
    }
    const name = `reuseport-migrate-exec-${process.pid}`;
    const cgroup = new ServerCgroup(mount, join(own, name));
    if (existsSync(cgroup.#directory)) cgroup.#clearLeftOver();
    cgroup.#create();
    return cgroup;
  }

  /** A cgroup below this one, such as one start's. */
  child(name: string): ServerCgroup {
    const cgroup = new ServerCgroup(this.#mount, join(this.path, name));
    cgroup.#create();
    return cgroup;
  }

  /** The file a process writes its pid into to enter. */
  get procs(): string {
    return join(this.#directory, "cgroup.procs");
  }

  /** The processes in it and below. */
  pids(): number[] {
    return this.#below().flatMap((directory) =>
      readFileSync(join(directory, "cgroup.procs"), "utf8").split("\n").filter(Boolean).map(Number),
    );
  }

  has(pid: number): boolean {
    return isBelow(cgroupOf(pid), this.path);
  }

  /** Whether no process is left in it; zombies do not count. */
  get empty(): boolean {
    return /^populated 0$/m.test(readFileSync(join(this.#directory, "cgroup.events"), "utf8"));
  }

  /** Sends `signal` to each process. */
  signal(signal: NodeJS.Signals): void {
    for (const pid of this.pids()) {
      try {
        process.kill(pid, signal);
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== "ESRCH") throw error;
      }
    }
  }

  /** SIGKILL to all at once, those they fork meanwhile included. */
  kill(): void {
    writeFileSync(join(this.#directory, "cgroup.kill"), "1");
  }

  /** Removes it and what is below; one that is not empty stays, with its processes. */
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

  /** Of an exec that had our pid and was killed. */
  #clearLeftOver(): void {
    this[Symbol.dispose]();
    if (!existsSync(this.#directory)) return;
    throw new ConflictError(
      `cgroup ${this.path} still holds the server of an exec that was killed (pid ${this.pids().join(", ")}): end it first`,
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
          `making the cgroup ${this.path} is not permitted: run as root, or where the cgroup is delegated to you`,
          { cause: error },
        );
      }
      throw new NotSupportedError("cgroup v2", `cgroup ${this.path} cannot be made (${code})`, {
        cause: error,
      });
    }
    // A cgroup below a threaded one cannot have processes.
    const type = readFileSync(join(this.#directory, "cgroup.type"), "utf8").trim();
    if (type === "domain") return;
    this[Symbol.dispose]();
    throw new NotSupportedError(
      "cgroup v2",
      `cgroup ${this.path} cannot have processes (its type is '${type}'): start exec from another cgroup`,
    );
  }
}
