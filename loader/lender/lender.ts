/**
 * The lender of this process: system calls on listeners of other processes. No descriptor of
 * another process ever is one of ours, because every call on it can block for ever (lender.c).
 */
import { readFileSync } from "node:fs";
import { endpoint, type Listener, type Owner } from "../core/listener.ts";
import { NotSupportedError, PermissionError } from "../errors.ts";
import { forbidsTracing, HARDENED } from "../hardening.ts";
import { Owned, requireFreeFds } from "../owned.ts";
import { checkRet } from "../sys/check.ts";
import { boottimeMs } from "../sys/libc.ts";
import type { Message } from "../sys/unix_socket.ts";
import { reportHang } from "./hangs.ts";
import { HelperProcess } from "./helper_process.ts";
import { decodeLoan, encodeLoan, type LoanResult, type Operation } from "./loan.ts";
import { type ProcessTenant, Quarantine } from "./quarantine.ts";

/** Killed helpers that are stuck in the kernel: at most so many, one for each process that hangs. */
const MAX_STUCK = 32;
/** ESRCH, EBADF, EINVAL: the owner or its descriptor is gone; ESTALE: the number is reused. */
const GONE: ReadonlySet<number> = new Set([3, 9, 22, 116]);
const EPERM = 1;
/** Starts of a helper for one request: another process may kill it. */
const MAX_STARTS = 3;
/** A helper that no sidecar keeps ends after this time without a request. */
const IDLE_MS = 1_000;

const quarantine = new Quarantine();
let helper: HelperProcess | null = null;
let stuck: HelperProcess[] = [];
let keepers = 0;
let idle: NodeJS.Timeout | undefined;

/** Returns the processes that are left alone now, because they hung. */
export function hungOwners(): readonly Owner[] {
  return quarantine.now(boottimeMs()).map(({ owner }) => owner);
}

/** Returns whether every owner of a listener is left alone now. */
export function isHung({ owners }: Listener): boolean {
  return owners.length > 0 && owners.every(isLeftAlone);
}

/** Keeps the helper process until the returned function is called; it is idle most of the time. */
export function keepLender(): () => void {
  keepers++;
  return () => {
    if (--keepers === 0) end();
  };
}

function end(): void {
  helper?.[Symbol.dispose]();
  helper = null;
}

/** What borrowing needs to know of a listener; its key is for warnings. */
type Borrowable = Pick<Listener, "cookie" | "owners"> & Partial<Pick<Listener, "key">>;

/**
 * Does `operations` on a listener, through any of its owners. Blocks for 0.1 ms; for 0.2 s if an
 * owner hangs, which is then left alone for a while.
 * @param fd for operations that require one: a program, or a map
 * @returns the result of each operation; undefined if no owner lends it: every one has exited or
 *   closed it, or hangs
 * @throws PermissionError if an owner may not be traced and no other one lends it;
 *   NotSupportedError
 */
export function borrow(
  listener: Borrowable,
  operations: readonly Operation[],
  fd: number | null = null,
): readonly LoanResult[] | undefined {
  return borrowed(listener, operations, fd)?.results;
}

/**
 * Returns a descriptor of a listener that was ours before: a standby that a keeper has. Null if no
 * owner lends it.
 */
export function takeBack(listener: Borrowable): number | null {
  return borrowed(listener, [{ kind: "take" }], null)?.fds[0] ?? null;
}

interface Loan {
  readonly results: readonly LoanResult[];
  readonly fds: readonly number[];
}

function borrowed(
  listener: Borrowable,
  operations: readonly Operation[],
  fd: number | null,
): Loan | undefined {
  const { cookie, owners, key } = listener;
  let refused: Owner | null = null;
  for (const owner of owners) {
    const what = key ? `its listener on ${endpoint(key)}` : "its listener";
    const message = ask(owner, what, encodeLoan({ cookie, ...owner }, operations), fd);
    if (message === null) continue;
    const { error, results } = decodeLoan(message.data);
    if (error === 0) return { results, fds: message.fds };
    if (error === EPERM) refused ??= owner;
    else if (!GONE.has(error)) checkRet("pidfd_getfd", -error);
  }
  if (refused) throw notPermitted(refused);
  return undefined;
}

/**
 * Opens the network namespace of a process. Returns its file descriptor, or null if the process
 * hangs.
 * @throws SysError ENOENT if the process has ended; EACCES without CAP_SYS_PTRACE; EMFILE
 */
export function openNetnsOf(pid: number): number | null {
  const owner = { pid, fd: 0, comm: "process", startMs: 0 };
  const request = encodeLoan({ cookie: 0n, ...owner }, [{ kind: "netns" }]);
  const message = ask(owner, "its network namespace", request, null);
  if (message === null) return null;
  using own = new Owned();
  const [fd = null] = own.fds(message.fds);
  const [result] = decodeLoan(message.data).results;
  checkRet("open", -(result?.error ?? EPERM));
  return own.release(fd);
}

/** Sends a request about a process. Returns the reply, or null if it hangs. @throws EMFILE */
function ask(owner: Owner, what: string, request: Buffer, fd: number | null): Message | null {
  if (isLeftAlone(owner)) return null;
  const reply = send(request, fd);
  if (reply === null || reply instanceof HelperProcess) {
    leaveAlone(owner, what, () => reply?.isReaped === false);
    return null;
  }
  quarantine.settle(owner);
  using own = new Owned();
  own.fds(reply.fds);
  if (reply.truncated) requireFreeFds(1); // the kernel drops a descriptor that finds no number
  return own.release(reply);
}

/** Returns a reply; or the helper that hangs, or null if too many do. */
function send(request: Buffer, fd: number | null): Message | HelperProcess | null {
  for (let tries = 0; tries < MAX_STARTS; tries++) {
    helper ??= start();
    if (helper === null) return null;
    const reply = helper.ask(request, fd);
    if (typeof reply === "object") {
      if (keepers === 0) idle = idle?.refresh() ?? setTimeout(endIdle, IDLE_MS).unref();
      return reply;
    }
    const ended = helper;
    helper = null;
    if (reply === "ended") continue;
    stuck.push(ended);
    return ended;
  }
  const text =
    "the lender process ends without a reply: see the kernel's log, and what may kill it";
  throw new NotSupportedError("lender", text);
}

function endIdle(): void {
  idle = undefined;
  if (keepers === 0) end();
}

/** Returns a new helper; null if there are too many already, which hang. */
function start(): HelperProcess | null {
  stuck = stuck.filter(({ isReaped }) => !isReaped);
  return stuck.length < MAX_STUCK ? new HelperProcess() : null;
}

function isLeftAlone(owner: Owner): boolean {
  return quarantine.has(owner, boottimeMs(), () => tenantOf(owner.pid));
}

function leaveAlone(owner: Owner, what: string, isStuck: () => boolean): void {
  const tenant = tenantOf(owner.pid);
  quarantine.add(owner, tenant, boottimeMs(), isStuck);
  const { comm, pid } = owner;
  const who = `${comm} (pid ${pid}, ${tenant === "userns" ? "in a user namespace" : `uid ${tenant}`})`;
  const text = `${who} hangs in a call on ${what}: it is left alone, and tried again now and then; end that process`;
  reportHang({ about: `hung ${tenant}`, text });
}

function tenantOf(pid: number): ProcessTenant {
  try {
    if (isInOtherUserns(pid)) return "userns";
    const status = readFileSync(`/proc/${pid}/status`, "latin1");
    // The real uid: the effective one is another user's after execve(2) of a set-user-ID program.
    return Number(/^Uid:\t(\d+)/m.exec(status)?.[1] ?? 0);
  } catch {
    return 0; // it has exited
  }
}

/**
 * Compares uid maps, which every process may read; reading the namespace itself needs
 * CAP_SYS_PTRACE.
 */
function isInOtherUserns(pid: number): boolean {
  try {
    const [ours, its] = ["self", pid].map((process) =>
      readFileSync(`/proc/${process}/uid_map`, "utf8"),
    );
    return ours !== its;
  } catch {
    return false; // it has exited
  }
}

function notPermitted({ comm, pid }: Owner): PermissionError {
  const failed = `duplicating the listener of ${comm} (pid ${pid}) is not permitted`;
  return new PermissionError("CAP_SYS_PTRACE", `${failed}: ${whyRefused(pid)}`);
}

function whyRefused(pid: number): string {
  if (forbidsTracing()) return HARDENED.ptrace;
  return isInOtherUserns(pid)
    ? "it is in another user namespace; run in one above it, with CAP_SYS_PTRACE there"
    : "run as root, or grant CAP_SYS_PTRACE";
}
