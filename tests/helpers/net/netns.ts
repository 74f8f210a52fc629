/** Network namespaces of a test, each kept alive, with lo up, by a process. */
import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { closeSync, openSync } from "node:fs";
import { netnsInode } from "../../../loader/index.ts";
import type { Cleanup } from "../cleanup.ts";
import { TempDir } from "../host/child.ts";

export class TestNetns {
  readonly inode: number;
  readonly #keeper: ChildProcess;

  private constructor(keeper: ChildProcess) {
    this.#keeper = keeper;
    this.inode = netnsInode(this.pid);
  }

  /** Makes a namespace that ends with the scene. */
  static async make(s: Cleanup): Promise<TestNetns> {
    const script = "ip link set lo up; echo up; exec sleep infinity";
    const keeper = spawn("unshare", ["--net", "sh", "-ec", script], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    const netns = once(keeper.stdout, "data").then(() => new TestNetns(keeper));
    s.defer(async () => (await netns).end());
    return netns;
  }

  get pid(): number {
    return this.#keeper.pid as number;
  }

  /** A command that starts another command in the namespace. */
  get under(): string[] {
    return ["nsenter", `--net=/proc/${this.pid}/ns/net`];
  }

  /** Ends the process that keeps the namespace alive. */
  async end(): Promise<void> {
    if (this.#keeper.exitCode !== null || this.#keeper.signalCode !== null) return;
    this.#keeper.kill("SIGKILL");
    await once(this.#keeper, "exit");
  }

  /**
   * Mounts it at `path`, as `ip netns add` does; returns a function that unmounts it before the
   * scene ends.
   */
  mount(s: Cleanup, path: string): () => void {
    closeSync(openSync(path, "w"));
    execFileSync("mount", ["--bind", `/proc/${this.pid}/ns/net`, path]);
    let mounted = true;
    const unmount = () => {
      if (mounted) execFileSync("umount", [path]);
      mounted = false;
    };
    s.defer(unmount);
    return unmount;
  }
}

/** Returns a directory that is removed at the end of the scene. */
export function tempDir(s: Cleanup): TempDir {
  const dir = new TempDir();
  s.defer(() => dir[Symbol.dispose]());
  return dir;
}
