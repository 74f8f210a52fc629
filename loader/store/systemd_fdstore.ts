/**
 * systemd's fd store (sd_pid_notify_with_fds(3)). It keeps the deposits while the store does not
 * run, and passes them to the next start as LISTEN_FDS. The name of a descriptor there encodes its
 * deposit: name, index and count, timeout (ms), `s` for shared or `x`; such as `web;0/2;10000;x`.
 */
import { Owned } from "../owned.ts";
import * as libc from "../sys/libc.ts";
import { closeOnExec, sendmsg } from "../sys/unix_socket.ts";
import type { Deposit } from "./deposits.ts";
import { isName, isTimeout } from "./protocol.ts";

type Kept = Pick<Deposit, "name" | "fds" | "shared" | "timeoutMs">;
type Vars = Readonly<Record<string, string | undefined>>;

/** The first descriptor of LISTEN_FDS (sd-daemon.h, SD_LISTEN_FDS_START). */
const LISTEN_FDS_START = 3;

/** The descriptors that systemd passed at the start. */
interface Restored {
  readonly deposits: readonly Kept[];
  /** Parts of incomplete deposits: the store was killed during a put, before its reply. */
  readonly parts: readonly { readonly fdName: string; readonly fd: number }[];
  /** Names of descriptors that the store did not put. */
  readonly others: readonly string[];
}

const FD_NAME = /^([^;]+);(\d{1,3})\/(\d{1,3});(\d{1,7});([sx])$/;

function fdNames({ name, fds, timeoutMs, shared }: Kept): string[] {
  return fds.map((_, i) => `${name};${i}/${fds.length};${timeoutMs};${shared ? "s" : "x"}`);
}

/** Assembles deposits from the names in LISTEN_FDNAMES, which are in no particular order. Pure. */
export function assemble(fdNames: readonly string[]): Restored {
  const sets = new Map<string, { readonly kept: Kept; readonly parts: Map<number, Part> }>();
  const others: string[] = [];
  for (const [i, fdName] of fdNames.entries()) {
    const [, name = "", index, count, timeout, kind] = FD_NAME.exec(fdName) ?? [];
    if (!isName(name) || !isTimeout(Number(timeout)) || Number(index) >= Number(count)) {
      others.push(fdName);
      continue;
    }
    const key = `${name};${count};${timeout};${kind}`;
    const kept: Kept = { name, fds: [], timeoutMs: Number(timeout), shared: kind === "s" };
    const set = sets.get(key) ?? { kept, parts: new Map<number, Part>() };
    const part = { fdName, fd: LISTEN_FDS_START + i, count: Number(count) };
    sets.set(key, set);
    if (set.parts.has(Number(index))) others.push(fdName);
    else set.parts.set(Number(index), part);
  }
  const all = [...sets.values()];
  const isComplete = ({ parts }: (typeof all)[number]) =>
    [...parts.values()].every(({ count }) => count === parts.size);
  return {
    deposits: all.filter(isComplete).map(({ kept, parts }) => ({
      ...kept,
      fds: [...parts].sort(([a], [b]) => a - b).map(([, { fd }]) => fd),
    })),
    parts: all.filter((set) => !isComplete(set)).flatMap(({ parts }) => [...parts.values()]),
    others,
  };
}

interface Part {
  readonly fdName: string;
  readonly fd: number;
  /** Number of parts of the deposit. */
  readonly count: number;
}

/** Updates systemd's fd store. A deposit survives the store once {@link keep} has returned. */
export class FdStoreManager {
  readonly #address: Buffer;
  /** FDNAMEs by name. */
  readonly #kept = new Map<string, readonly string[]>();

  /** @param path the value of NOTIFY_SOCKET */
  constructor(path: string) {
    this.#address = libc.sockaddrUnix(path);
  }

  /** Returns the descriptors that the manager passed to this process. Call once, at the start. */
  restore(vars: Vars): Restored {
    if (vars["LISTEN_PID"] !== String(process.pid)) return { deposits: [], parts: [], others: [] };
    const count = Number(vars["LISTEN_FDS"] ?? 0);
    const names = (vars["LISTEN_FDNAMES"] ?? "").split(":").slice(0, count);
    for (let i = 0; i < count; i++) closeOnExec(LISTEN_FDS_START + i);
    const restored = assemble(names);
    for (const deposit of restored.deposits) this.#kept.set(deposit.name, fdNames(deposit));
    for (const { fdName, fd } of restored.parts) {
      this.#send(`FDSTOREREMOVE=1\nFDNAME=${fdName}`);
      libc.close(fd);
    }
    return restored;
  }

  /** Has the manager keep a deposit, and close the one it kept under that name. */
  keep(deposit: Kept): void {
    const names = fdNames(deposit);
    this.forget(deposit.name);
    this.#kept.set(deposit.name, names);
    for (const [i, name] of names.entries()) {
      // FDPOLL=0: systemd must also keep a pipe whose other end is closed.
      this.#send(`FDSTORE=1\nFDNAME=${name}\nFDPOLL=0`, deposit.fds.slice(i, i + 1));
    }
  }

  /** Has the manager close the deposit that it keeps under that name. */
  forget(name: string): void {
    const fdNames = this.#kept.get(name) ?? [];
    this.#kept.delete(name);
    for (const fdName of fdNames) this.#send(`FDSTOREREMOVE=1\nFDNAME=${fdName}`);
  }

  /**
   * Blocks while the manager's queue is full: a deposit not sent would be lost with the process.
   */
  #send(state: string, fds: readonly number[] = []): void {
    using own = new Owned();
    const fd = own.fd(libc.socket(libc.AF_UNIX, libc.SOCK_DGRAM | libc.SOCK_CLOEXEC, 0));
    sendmsg(fd, Buffer.from(state), fds, { to: this.#address, wait: true });
  }
}
