/** A Debian tree that commands run in, with a service manager that a test plays. In the sandbox. */
import { execFile } from "node:child_process";
import {
  chmodSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { promisify } from "node:util";

const run = promisify(execFile);
const ENV = { PATH: "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", LC_ALL: "C" };

/** What package managers keep for themselves. */
const OTHERS =
  /^\.\/(?:proc|sys|dev|run|tmp|var\/(?:cache|log|lib\/(?:dpkg|apt)))\/|ld\.so\.cache$/;

/** Waits until the test has done what it is asked to, as systemctl does. */
const SYSTEMCTL = `#!/bin/sh
echo "$*" >>/run/systemctl.log
case $* in
*try-restart*|*stop*) echo "$*" >/run/asked; while [ -e /run/asked ]; do sleep 0.05; done ;;
esac
`;

export class Chroot {
  readonly path: string;

  constructor(path: string) {
    this.path = path;
  }

  /** Mounts what every host has; the mounts end with the sandbox. */
  async mount(): Promise<void> {
    for (const name of ["proc", "sys", "dev"]) {
      await run("mount", ["--rbind", `/${name}`, join(this.path, name)]);
    }
  }

  command(...line: string[]): [string, ...string[]] {
    return ["chroot", this.path, ...line];
  }

  /** Runs a command; returns its stdout. @throws Error with its output */
  async run(...line: string[]): Promise<string> {
    const [command, ...args] = this.command(...line);
    return (await run(command, args, { env: ENV, cwd: "/" })).stdout;
  }

  /** Runs apt-get in the network namespace of the process that started the sandbox. */
  async apt(...args: string[]): Promise<void> {
    const env = { ...process.env, ...ENV, DEBIAN_FRONTEND: "noninteractive" };
    const line = this.command("apt-get", "-y", "--no-install-recommends", ...args);
    await run("nsenter", [`--net=/proc/${process.ppid}/ns/net`, ...line], {
      env,
      maxBuffer: 1 << 24,
    });
  }

  /** Makes the maintainer scripts see systemd; `act` does what systemctl is asked to. */
  playSystemd(act: (asked: string) => Promise<void>): Systemd {
    mkdirSync(join(this.path, "run/systemd/system"), { recursive: true });
    const systemctl = join(this.path, "usr/local/bin/systemctl");
    writeFileSync(systemctl, SYSTEMCTL);
    chmodSync(systemctl, 0o755);
    return new Systemd(join(this.path, "run"), systemctl, act);
  }

  has = (file: string): boolean => existsSync(join(this.path, file));

  /** Returns every file that is not the package managers' own: type, mode and path. */
  async files(): Promise<string[]> {
    const args = [".", "-xdev", "-printf", "%p %y %m %u:%g\n"];
    const { stdout } = await run("find", args, { cwd: this.path, maxBuffer: 1 << 26 });
    return stdout
      .split("\n")
      .filter((line) => !OTHERS.test(line))
      .sort();
  }
}

export class Systemd {
  readonly #run: string;
  readonly #systemctl: string;
  readonly #ended: Promise<void>;
  #stopped = false;

  constructor(directory: string, systemctl: string, act: (asked: string) => Promise<void>) {
    this.#run = directory;
    this.#systemctl = systemctl;
    this.#ended = this.#serve(act);
  }

  async #serve(act: (asked: string) => Promise<void>): Promise<void> {
    const asked = join(this.#run, "asked");
    for (; !this.#stopped; await sleep(20)) {
      const text = existsSync(asked) ? readFileSync(asked, "utf8").trim() : "";
      if (text === "") continue;
      await act(text).finally(() => rmSync(asked));
    }
  }

  /** Returns the command lines of systemctl since the last call. */
  calls(): string[] {
    if (!readdirSync(this.#run).includes("systemctl.log")) return [];
    const log = join(this.#run, "systemctl.log");
    const lines = readFileSync(log, "utf8").trim().split("\n");
    rmSync(log);
    return lines;
  }

  /** @throws Error of what the test did instead of systemd */
  async stop(): Promise<void> {
    this.#stopped = true;
    await this.#ended;
    rmSync(this.#systemctl, { force: true });
    rmSync(join(this.#run, "systemd"), { recursive: true, force: true });
  }
}
