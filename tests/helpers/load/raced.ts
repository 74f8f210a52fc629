/**
 * Connections that the kernel's own race resets: a final ACK that is being processed while its
 * listener closes finds it listening no more, and no program is asked (inet_csk_reqsk_queue_add() in
 * inet_csk_complete_hashdance(), net/ipv4/inet_connection_sock.c; shared/design.md 3.1). The stack of
 * each reset that the kernel sends tells (the tracepoint tcp:tcp_send_reset).
 */
import { spawnSync } from "node:child_process";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmdirSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

const PREFIX = "reuseport-migrate-test-";
const EVENT = "tcp_send_reset:";
const RACE = "inet_csk_complete_hashdance";

/** Listens to the kernel, in a trace buffer of its own. Where it cannot, nothing is taken for the race. */
export class Races implements Disposable {
  readonly #from: string;
  readonly #directory = mkdtempSync(join(tmpdir(), "reuseport-migrate-"));
  #instance: string | null = null;

  /** @param port the listeners', on IPv4 */
  constructor(port: number) {
    this.#from = `:${port} `;
    const path = this.#directory;
    if (spawnSync("mount", ["-t", "tracefs", "tracefs", path]).status !== 0) return;
    const instances = join(path, "instances");
    for (const name of existsSync(instances) ? readdirSync(instances) : []) {
      const pid = name.startsWith(PREFIX) ? name.slice(PREFIX.length) : "self";
      if (!existsSync(`/proc/${pid}`)) rmdirSync(join(instances, name)); // of a test that was killed
    }
    const instance = join(instances, `${PREFIX}${process.pid}`);
    try {
      mkdirSync(instance);
      this.#instance = instance;
      writeFileSync(join(instance, "options/stacktrace"), "1");
      writeFileSync(join(instance, "events/tcp/tcp_send_reset/enable"), "1");
    } catch {
      this.#remove(); // no such tracepoint
    }
  }

  /** So many, since this was made. */
  get count(): number {
    if (this.#instance === null) return 0;
    const [, ...events] = readFileSync(join(this.#instance, "trace"), "utf8").split(EVENT);
    return events.filter((event) => {
      const [src = ""] = /src=\S+ /.exec(event) ?? [];
      return src.endsWith(this.#from) && event.includes(RACE);
    }).length;
  }

  #remove(): void {
    if (this.#instance !== null) rmdirSync(this.#instance);
    this.#instance = null;
  }

  [Symbol.dispose](): void {
    this.#remove();
    spawnSync("umount", [this.#directory]);
    rmdirSync(this.#directory); // never what is in it: while it is mounted that is the kernel's
  }
}
