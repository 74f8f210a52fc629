/**
 * Plays systemd for `store --systemd`: its notify socket keeps descriptors, and a start passes them
 * back.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import * as libc from "../../loader/sys/libc.ts";
import { onReadable } from "../../loader/sys/readable.ts";
import { recvmsg } from "../../loader/sys/unix_socket.ts";
import { TempDir } from "../helpers/host/child.ts";
import { BIN } from "../helpers/product/cli.ts";
import { until } from "../helpers/until.ts";

export class Manager implements AsyncDisposable {
  readonly dir = new TempDir();
  readonly path = this.dir.file("store.sock");
  readonly #notify = this.dir.file("notify");
  readonly #socket: number;
  readonly #stopWatching: () => void;
  /** What it keeps: FDNAME -> descriptor. */
  readonly #kept = new Map<string, number>();
  #states: string[] = [];
  #child: ChildProcess | undefined;

  constructor() {
    const type = libc.SOCK_DGRAM | libc.SOCK_NONBLOCK | libc.SOCK_CLOEXEC;
    this.#socket = libc.socket(libc.AF_UNIX, type, 0);
    libc.bind(this.#socket, libc.sockaddrUnix(this.#notify));
    this.#stopWatching = onReadable(this.#socket, () => this.#receive());
  }

  get fdNames(): string[] {
    return [...this.#kept.keys()].sort();
  }

  /**
   * Starts the store with the descriptors it keeps, the last first, as systemd does; waits for
   * READY=1.
   */
  async start(extra: Readonly<Record<string, number>> = {}): Promise<void> {
    this.#states = [];
    const kept = [...[...this.#kept].reverse(), ...Object.entries(extra)];
    const args = [BIN, "store", "--listen", this.path, "--systemd"];
    const become = 'export LISTEN_PID=$$ && exec "$@"';
    const child = spawn("/bin/sh", ["-c", become, "sh", process.execPath, ...args], {
      stdio: ["ignore", "ignore", "ignore", ...kept.map(([, fd]) => fd)],
      env: {
        PATH: process.env["PATH"],
        NOTIFY_SOCKET: this.#notify,
        LISTEN_FDS: String(kept.length),
        LISTEN_FDNAMES: kept.map(([name]) => name).join(":"),
      },
    });
    this.#child = child;
    await until("READY=1", () => {
      if (child.exitCode !== null) throw new Error(`the store ended with ${child.exitCode}`);
      return this.#states.includes("READY=1");
    });
  }

  /**
   * Ends the store with `signal`; returns its exit code, or the name of the signal that ended it.
   */
  async end(signal: NodeJS.Signals): Promise<number | string> {
    const child = this.#child as ChildProcess;
    const exit = once(child, "exit");
    child.kill(signal);
    const [code, by] = await exit;
    this.#receive(); // the messages of its end
    return code ?? by;
  }

  #receive(): void {
    for (;;) {
      const message = recvmsg(this.#socket, 4096);
      if (message === null) return;
      const lines = message.data.toString().split("\n");
      this.#states.push(...lines);
      const name = lines.find((line) => line.startsWith("FDNAME="))?.slice("FDNAME=".length) ?? "";
      if (lines.includes("FDSTORE=1")) for (const fd of message.fds) this.#kept.set(name, fd);
      if (lines.includes("FDSTOREREMOVE=1")) this.#forget(name);
    }
  }

  #forget(name: string): void {
    const fd = this.#kept.get(name);
    if (fd !== undefined) libc.close(fd);
    this.#kept.delete(name);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#child?.exitCode === null && this.#child.signalCode === null)
      await this.end("SIGKILL");
    this.#stopWatching();
    for (const name of this.fdNames) this.#forget(name);
    libc.close(this.#socket);
    this.dir[Symbol.dispose]();
  }
}
