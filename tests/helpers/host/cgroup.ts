/** Cgroups of a test, below the cgroup of the sandbox. */
import { existsSync, mkdirSync, rmdirSync } from "node:fs";
import { basename, join } from "node:path";
import type { Cleanup } from "../cleanup.ts";
import { until } from "../until.ts";

/** A cgroup that exists from {@link create} to the end of the scene. */
export class TestCgroup {
  readonly directory: string;
  /** As in /proc/PID/cgroup. */
  readonly path: string;

  constructor(scene: Cleanup, name: string, parent = process.env["SANDBOX_CGROUP"]) {
    if (!parent) throw new Error("the sandbox has no cgroup: mount cgroup v2");
    this.directory = join(parent, name);
    const sandbox = process.env["SANDBOX_CGROUP"] ?? "";
    this.path = `/${basename(sandbox)}${this.directory.slice(sandbox.length)}`;
    scene.defer(() => this.remove());
  }

  create(): this {
    mkdirSync(this.directory);
    return this;
  }

  /** Removes the cgroup once its processes have exited. */
  async remove(): Promise<void> {
    await until(`${this.directory} is removed`, () => {
      try {
        if (existsSync(this.directory)) rmdirSync(this.directory);
        return true;
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code === "EBUSY") return false;
        throw error;
      }
    });
  }

  /** A command that starts another command in the cgroup. */
  get under(): string[] {
    return ["sh", "-ec", `echo $$ >${this.directory}/cgroup.procs; exec "$@"`, "sh"];
  }
}
