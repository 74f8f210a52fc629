/**
 * Processes that own raw listeners, as a test controls them; {@link ListenerProcess} is what a
 * server is to the sidecar.
 */
import type { ChildProcess } from "node:child_process";
import { once } from "node:events";
import { forkUnder } from "../host/fork.ts";

export interface SocketOption {
  readonly level: number;
  readonly name: number;
  /** An int, or the option's bytes. */
  readonly value: number | readonly number[];
}

export interface ListenOptions {
  readonly address: string;
  readonly port: number;
  readonly backlog?: number;
  /** Default true. */
  readonly reuseport?: boolean;
  readonly fastOpen?: boolean;
  /** An IPv6 listener takes IPv4 connections too. */
  readonly dual?: boolean;
  readonly udp?: boolean;
  readonly mptcp?: boolean;
  /** Set before bind(). */
  readonly options?: readonly SocketOption[];
}

type OfListener = "close" | "shutdown" | "listen" | "serve" | "filter" | "sockarray";
type Send = (what: OfListener | { readonly set: SocketOption }) => Promise<unknown>;

export type Command =
  | { readonly do: "open"; readonly options: ListenOptions }
  | { readonly do: OfListener; readonly fd: number }
  | { readonly do: "set"; readonly fd: number; readonly option: SocketOption }
  | { readonly do: "churn"; readonly options: ListenOptions; readonly times: number }
  | { readonly do: "exit" };

export interface Reply {
  readonly id: number;
  readonly value?: unknown;
  readonly error?: string;
}

/** The ways a listener leaves. */
export const WAYS = ["close", "shutdown", "exit", "SIGKILL"] as const;
export type Way = (typeof WAYS)[number];

export class ListenerProcess {
  readonly #child: ChildProcess;
  readonly #exited: Promise<unknown>;
  readonly #waiting = new Map<number, (reply: Reply) => void>();
  #sent = 0;

  private constructor(child: ChildProcess) {
    this.#child = child;
    this.#exited = once(child, "exit");
    child.on("message", (reply: Reply) => {
      this.#waiting.get(reply.id)?.(reply);
      this.#waiting.delete(reply.id);
    });
  }

  /** @param under a command that starts it, such as `["unshare", "--net"]`. */
  static async start(under: readonly string[] = []): Promise<ListenerProcess> {
    const path = new URL("./listener_main.js", import.meta.url);
    const child = forkUnder(under, path);
    const result = new ListenerProcess(child);
    await once(child, "message");
    return result;
  }

  get pid(): number {
    return this.#child.pid as number;
  }

  async #send(command: Command): Promise<unknown> {
    const id = ++this.#sent;
    const reply = new Promise<Reply>((resolve) => this.#waiting.set(id, resolve));
    this.#child.send({ id, command });
    const { value, error } = await Promise.race([
      reply,
      this.#exited.then(() => ({ id, value: undefined, error: `process ${this.pid} has exited` })),
    ]);
    if (error !== undefined) throw new Error(`${command.do} in process ${this.pid}: ${error}`);
    return value;
  }

  async open(options: ListenOptions): Promise<Listener> {
    const { fd, cookie } = (await this.#send({ do: "open", options })) as {
      fd: number;
      cookie: string;
    };
    const send: Send = (what) =>
      this.#send(typeof what === "string" ? { do: what, fd } : { do: "set", fd, option: what.set });
    return new Listener(this, send, cookie);
  }

  /** Opens and closes a listener `times` times in a row. */
  async churn(options: ListenOptions, times: number): Promise<void> {
    await this.#send({ do: "churn", options, times });
  }

  async exit(): Promise<void> {
    this.#child.send({ id: 0, command: { do: "exit" } satisfies Command });
    await this.#exited;
  }

  /** Sends SIGKILL; does nothing if the process has exited. */
  async kill(): Promise<void> {
    this.#child.kill("SIGKILL");
    await this.#exited;
  }
}

export class Listener {
  readonly process: ListenerProcess;
  readonly cookie: string;
  readonly #send: Send;

  constructor(process: ListenerProcess, send: Send, cookie: string) {
    this.process = process;
    this.#send = send;
    this.cookie = cookie;
  }

  async close(): Promise<void> {
    await this.#send("close");
  }
  async shutdown(): Promise<void> {
    await this.#send("shutdown");
  }
  /** Calls listen(2) again. */
  async listen(): Promise<void> {
    await this.#send("listen");
  }
  /** Calls setsockopt(2) on the open listener. */
  async set(option: SocketOption): Promise<void> {
    await this.#send({ set: option });
  }
  /** Accepts every connection from now on, and sleeps in epoll between them. */
  async serve(): Promise<void> {
    await this.#send("serve");
  }
  /** Attaches a classic BPF filter to the group. */
  async filter(): Promise<void> {
    await this.#send("filter");
  }

  /** Puts it into a BPF_MAP_TYPE_REUSEPORT_SOCKARRAY that lives as long as its process. */
  async sockarray(): Promise<void> {
    await this.#send("sockarray");
  }

  async leave(way: Way): Promise<void> {
    if (way === "close") await this.close();
    else if (way === "shutdown") await this.shutdown();
    else if (way === "exit") await this.process.exit();
    else await this.process.kill();
  }
}
