/**
 * systemd's own fd store (sd_pid_notify_with_fds(3)): it keeps what the store holds while the store
 * is away, and gives it back at the next start as LISTEN_FDS. Each descriptor has a name of its own
 * there that says all there is to know of it: `web;0/2;10000;x`.
 */
import * as libc from "../sys/libc.ts";
import { closeOnExec, sendmsg } from "../sys/unix_socket.ts";
import type { Deposit } from "./deposits.ts";
import { isName, isTimeout } from "./protocol.ts";

type Kept = Pick<Deposit, "name" | "fds" | "shared" | "timeoutMs">;
type Vars = Readonly<Record<string, string | undefined>>;

/** The first descriptor of LISTEN_FDS (sd-daemon.h, SD_LISTEN_FDS_START). */
export const LISTEN_FDS_START = 3;

/** What a start was given back. */
export interface TakenBack {
  readonly deposits: readonly Kept[];
  /** Parts of deposits that were never whole: a store that was killed in a put had not answered yet. */
  readonly parts: readonly { readonly fdName: string; readonly fd: number }[];
  /** Names of descriptors that are not the store's. */
  readonly others: readonly string[];
}

const FD_NAME = /^([^;]+);(\d{1,3})\/(\d{1,3});(\d{1,7});([sx])$/;

function fdNames({ name, fds, timeoutMs, shared }: Kept): string[] {
  return fds.map((_, i) => `${name};${i}/${fds.length};${timeoutMs};${shared ? "s" : "x"}`);
}

/** Puts together what LISTEN_FDNAMES names; the order it comes in means nothing. Pure. */
export function assemble(fdNames: readonly string[]): TakenBack {
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
  const whole = ({ parts }: (typeof all)[number]) =>
    [...parts.values()].every(({ count }) => count === parts.size);
  return {
    deposits: all.filter(whole).map(({ kept, parts }) => ({
      ...kept,
      fds: [...parts].sort(([a], [b]) => a - b).map(([, { fd }]) => fd),
    })),
    parts: all.filter((set) => !whole(set)).flatMap(({ parts }) => [...parts.values()]),
    others,
  };
}

interface Part {
  readonly fdName: string;
  readonly fd: number;
  /** How many make the deposit. */
  readonly count: number;
}

/** Tells the manager; a deposit is safe from the store's death as soon as a call returns. */
export class FdStoreManager {
  readonly #address: Buffer;
  /** FDNAMEs by name. */
  readonly #kept = new Map<string, readonly string[]>();

  /** @param path what NOTIFY_SOCKET says */
  constructor(path: string) {
    this.#address = libc.sockaddrUnix(path);
  }

  /** What the manager gave this process. Call it once, at the start. */
  takeBack(vars: Vars): TakenBack {
    if (vars["LISTEN_PID"] !== String(process.pid)) return { deposits: [], parts: [], others: [] };
    const count = Number(vars["LISTEN_FDS"] ?? 0);
    const names = (vars["LISTEN_FDNAMES"] ?? "").split(":").slice(0, count);
    for (let i = 0; i < count; i++) closeOnExec(LISTEN_FDS_START + i);
    const back = assemble(names);
    for (const deposit of back.deposits) this.#kept.set(deposit.name, fdNames(deposit));
    for (const { fdName, fd } of back.parts) {
      this.#send(`FDSTOREREMOVE=1\nFDNAME=${fdName}`);
      libc.close(fd);
    }
    return back;
  }

  /** Has it keep a deposit, instead of what it kept under that name. */
  keep(deposit: Kept): void {
    const names = fdNames(deposit);
    this.forget(deposit.name);
    this.#kept.set(deposit.name, names);
    for (const [i, name] of names.entries()) {
      // FDPOLL=0: a pipe whose other end is gone is still a deposit.
      this.#send(`FDSTORE=1\nFDNAME=${name}\nFDPOLL=0`, deposit.fds.slice(i, i + 1));
    }
  }

  /** Has it close what it keeps under that name. */
  forget(name: string): void {
    const fdNames = this.#kept.get(name) ?? [];
    this.#kept.delete(name);
    for (const fdName of fdNames) this.#send(`FDSTOREREMOVE=1\nFDNAME=${fdName}`);
  }

  /** Waits until the manager's queue has room: what is not there yet would be lost with us. */
  #send(state: string, fds: readonly number[] = []): void {
    const fd = libc.socket(libc.AF_UNIX, libc.SOCK_DGRAM | libc.SOCK_CLOEXEC, 0);
    try {
      sendmsg(fd, Buffer.from(state), fds, { to: this.#address, wait: true });
    } finally {
      libc.close(fd);
    }
  }
}
