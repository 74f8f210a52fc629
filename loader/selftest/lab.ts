/**
 * The lab: a child process with its own network namespace, in which servers and clients carry out
 * calls. Nothing stays: namespace, listeners and connections end with it, and it ends with us.
 */
import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { PermissionError } from "../errors.ts";
import { requireFreeFds } from "../owned.ts";
import type { CallName, Calls, Greeting, LabReply, Whereabouts } from "./lab_protocol.ts";

const MAIN = fileURLToPath(new URL("./lab_main.js", import.meta.url));
/** Descriptors that fork() needs; Node leaves its channel open when it finds too few. */
export const FORK_FDS = 8;
/** Without CAP_SYS_ADMIN a network namespace can still be made in a user namespace (util-linux). */
const IN_USER_NAMESPACE = ["unshare", "--user", "--keep-caps", "--net"];

export class Lab implements Disposable {
  /** Inode number of its network namespace. */
  readonly netns: number;
  readonly #child: ChildProcess;
  readonly #waiting = new Map<number, (reply: LabReply) => void>();
  #sent = 0;

  private constructor(child: ChildProcess, netns: number) {
    this.#child = child;
    this.netns = netns;
    child.on("message", (reply: LabReply) => {
      this.#waiting.get(reply.id)?.(reply);
      this.#waiting.delete(reply.id);
    });
    child.once("exit", () => {
      for (const [id, settle] of this.#waiting) settle({ id, error: "it has exited" });
      this.#waiting.clear();
    });
  }

  /**
   * @param options.orHere if no network namespace can be made (`RestrictNamespaces=` of systemd),
   *   use a free port of 127.0.0.1 in ours
   * @throws PermissionError if no network namespace can be made
   */
  static async start(options: { readonly orHere?: boolean } = {}): Promise<Lab> {
    try {
      return await Lab.#start("new");
    } catch (error) {
      if (!(error instanceof PermissionError)) throw error;
      const within = await Lab.#start("inside", IN_USER_NAMESPACE).catch(() => null);
      if (within) return within;
      if (options.orHere) return await Lab.#start("here");
      throw error;
    }
  }

  static async #start(where: Whereabouts, under: readonly string[] = []): Promise<Lab> {
    const [execPath = process.execPath, ...rest] = [...under, process.execPath];
    requireFreeFds(FORK_FDS);
    const child = fork(MAIN, [where], {
      execPath,
      execArgv: rest,
      serialization: "advanced", // cookies are 64 bits
      stdio: ["ignore", "ignore", "ignore", "ipc"],
    });
    try {
      const greeting = await greetingOf(child);
      if ("netns" in greeting) return new Lab(child, greeting.netns);
      const text = `no network namespace for the self-test: ${greeting.error}`;
      if (greeting.code !== "EPERM") throw new Error(text);
      throw new PermissionError("CAP_SYS_ADMIN", `${text}; run as root, or grant CAP_SYS_ADMIN`);
    } catch (error) {
      child.kill("SIGKILL");
      throw error;
    }
  }

  get pid(): number {
    return this.#child.pid as number;
  }

  /** Has the lab carry out a call. */
  async call<N extends CallName>(name: N, argument: Calls[N][0]): Promise<Calls[N][1]> {
    const id = ++this.#sent;
    const reply = await new Promise<LabReply>((resolve) => {
      this.#waiting.set(id, resolve);
      const sent = (error: Error | null) => error && resolve({ id, error: error.message });
      if (this.#child.connected) this.#child.send({ id, name, argument }, sent);
      else resolve({ id, error: "it has exited" });
    });
    this.#waiting.delete(id);
    if ("error" in reply) throw new Error(`self-test: '${name}' failed: ${reply.error}`);
    return reply.value as Calls[N][1];
  }

  [Symbol.dispose](): void {
    this.#child.kill("SIGKILL");
  }
}

async function greetingOf(child: ChildProcess): Promise<Greeting> {
  const decided = new AbortController();
  const { signal } = decided;
  try {
    const ended = once(child, "exit", { signal }).then(([code, name]) => {
      throw new Error(`self-test: its process ended (${code ?? name})`);
    });
    const [greeting] = await Promise.race([once(child, "message", { signal }), ended]);
    return greeting as Greeting;
  } finally {
    decided.abort();
  }
}
