/**
 * A guide of docs/guides, done by a shell as its reader does it. The shell has a mount namespace
 * with copies of /etc, /run, /srv and /var that are gone at the end, and a cgroup.
 */
import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import type { StatusReport } from "reuseport-migrate";
import { TestCgroup } from "../helpers/host/cgroup.ts";
import { TempDir } from "../helpers/host/child.ts";
import { BIN, runCli } from "../helpers/product/cli.ts";
import { until } from "../helpers/until.ts";
import { type Step, sectionsOf, without } from "./document.ts";

const GUIDES = fileURLToPath(new URL("../../../docs/guides/", import.meta.url));

/** The guide removes its cgroups itself. */
const NO_SCENE = { defer: () => {} };

/** Each folder that a guide may write to is a copy; its files are read from the host's. */
const COPIES = `
for d in etc run srv var; do
  mkdir -p $1/$d/new $1/$d/work
  mount -t overlay overlay -o lowerdir=/$d,upperdir=$1/$d/new,workdir=$1/$d/work /$d
done
cd /srv
trap 'echo "FAILED: $BASH_COMMAND"' ERR
set -E
while read -r block; do . "$block" </dev/null; echo "END $block"; done
`;

export class Guide implements AsyncDisposable {
  readonly #sections: ReadonlyMap<string, readonly Step[]>;
  readonly #guarded: boolean;
  readonly #dir: TempDir;
  readonly #cgroup: TestCgroup;
  readonly #shell: ChildProcess;
  #output = "";
  #blocks = 0;

  /** @param guarded false: without {@link attach}, and commands run without `run` */
  constructor(name: string, guarded: boolean) {
    this.#sections = sectionsOf(readFileSync(join(GUIDES, `${name}.md`), "utf8"));
    this.#guarded = guarded;
    this.#dir = new TempDir();
    this.#cgroup = new TestCgroup(NO_SCENE, `guide-${name}`);
    this.#cgroup.create();
    mkdirSync(this.#dir.file("bin"));
    mkdirSync(this.#dir.file("copies"));
    symlinkSync(BIN, this.#dir.file("bin/reuseport-migrate"));
    // Above the copies, so that what they replace is not below them.
    const mounts = `mount -t tmpfs tmpfs "$0"; exec bash -c '${COPIES.replaceAll("'", "'\\''")}' bash "$0"`;
    const [command = "", ...under] = this.#cgroup.under;
    const args = ["unshare", "--mount", "--propagation", "private", "sh", "-euc", mounts];
    this.#shell = spawn(command, [...under, ...args, this.#dir.file("copies")], {
      stdio: ["pipe", "pipe", "pipe"],
      env: {
        ...process.env,
        HOME: this.#dir.path,
        PATH: `${this.#dir.file("bin")}:${process.env["PATH"]}:/usr/sbin`,
      },
    });
    for (const stream of [this.#shell.stdout, this.#shell.stderr]) {
      stream?.setEncoding("utf8").on("data", (text: string) => {
        this.#output += text;
      });
    }
  }

  /** Everything that its commands have printed. */
  get output(): string {
    return this.#output;
  }

  /** Runs commands that are no part of the guide. */
  async shell(commands: string): Promise<void> {
    const block = this.#dir.file(`block-${++this.#blocks}`);
    writeFileSync(block, commands);
    const end = `END ${block}\n`;
    this.#shell.stdin?.write(`${block}\n`);
    await until(`this ends:\n${commands}`, () => {
      if (this.#shell.exitCode !== null) throw new Error(`the shell ended:\n${this.#output}`);
      return this.#output.includes(end);
    });
    assert.doesNotMatch(this.#output, /^FAILED: /m, this.#output);
  }

  /** Does a section of the guide. */
  async section(heading: string): Promise<void> {
    const steps = this.#sections.get(heading);
    assert.ok(steps && steps.length > 0, `the guide has no steps in '${heading}'`);
    for (const step of steps) {
      if ("commands" in step) {
        await this.shell(this.#guarded ? step.commands : without(step.commands));
      } else {
        const text = this.#dir.file("text");
        writeFileSync(text, step.text);
        await this.shell(`mkdir -p ${dirname(step.file)} && cp ${text} ${step.file}`);
      }
    }
  }

  /** Does the section that attaches, or starts the server with `exec`; returns when it is attached. */
  async attach(heading: string): Promise<void> {
    await this.section(heading);
    await until(`it is attached:\n${this.#output}`, async () => {
      const { stdout } = await runCli(["status", "--json"]);
      return (JSON.parse(stdout) as StatusReport).groups.some(({ attached }) => attached);
    });
  }

  /** Ends every process of the guide, and undoes what is attached. */
  async [Symbol.asyncDispose](): Promise<void> {
    const { directory } = this.#cgroup;
    writeFileSync(join(directory, "cgroup.kill"), "1");
    await runCli(["detach", "--all"]);
    await removeBelow(directory);
    await this.#cgroup.remove();
    this.#dir[Symbol.dispose]();
  }
}

/** Removes the cgroups that `exec` has made. */
async function removeBelow(directory: string): Promise<void> {
  const entries = readdirSync(directory, { withFileTypes: true });
  for (const { name } of entries.filter((entry) => entry.isDirectory())) {
    await removeBelow(join(directory, name));
    await new TestCgroup(NO_SCENE, name, directory).remove();
  }
}
