/**
 * Counts the connections that the kernel's own race resets: while a final ACK is processed its
 * listener closes, and the kernel runs no program (inet_csk_reqsk_queue_add() in
 * inet_csk_complete_hashdance(), net/ipv4/inet_connection_sock.c; shared/design.md 3.1). The
 * tracepoint tcp:tcp_send_reset shows the stack of each reset.
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

/** Reads the tracepoint in its own trace buffer. Without the tracepoint it counts no race. */
export class KernelRaces implements Disposable {
  readonly #directory = mkdtempSync(join(tmpdir(), "reuseport-migrate-"));
  #instance: string | null = null;

  constructor() {
    const path = this.#directory;
    if (spawnSync("mount", ["-t", "tracefs", "tracefs", path]).status !== 0) return;
    const instances = join(path, "instances");
    for (const name of existsSync(instances) ? readdirSync(instances) : []) {
      const pid = name.startsWith(PREFIX) ? name.slice(PREFIX.length) : "self";
      if (!existsSync(`/proc/${pid}`)) rmdirSync(join(instances, name)); // left by a killed test
    }
    const instance = join(instances, `${PREFIX}${process.pid}`);
    try {
      mkdirSync(instance);
      this.#instance = instance;
      writeFileSync(join(instance, "options/stacktrace"), "1");
      writeFileSync(join(instance, "events/tcp/tcp_send_reset/enable"), "1");
    } catch {
      this.#remove(); // the kernel has no such tracepoint
    }
  }

  /** Returns the number of resets by listeners of a port that the race made since this was made. */
  countAt(port: number): number {
    if (this.#instance === null) return 0;
    const [, ...events] = readFileSync(join(this.#instance, "trace"), "utf8").split(EVENT);
    return events.filter((event) => {
      const [src = ""] = /src=\S+ /.exec(event) ?? [];
      return src.endsWith(`:${port} `) && event.includes(RACE);
    }).length;
  }

  #remove(): void {
    if (this.#instance !== null) rmdirSync(this.#instance);
    this.#instance = null;
  }

  [Symbol.dispose](): void {
    this.#remove();
    spawnSync("umount", [this.#directory]);
    rmdirSync(this.#directory); // not recursive: if the unmount failed, the files are the kernel's
  }
}
