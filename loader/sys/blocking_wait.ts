/**
 * The system calls in which servers wait for a connection. Each call blocks a thread of libuv's
 * pool; /proc shows when that thread sleeps. Every call has a timeout, because a sleeping thread
 * cannot be ended.
 */
import { readdirSync, readFileSync } from "node:fs";
import { arch } from "node:process";
import koffi, { type KoffiFunc } from "koffi";
import { Owned } from "../owned.ts";
import { checkSys } from "./check.ts";
import * as guard from "./guard.ts";
import * as libc from "./libc.ts";

type Call<A extends unknown[]> = KoffiFunc<(...args: A) => number>;

const lib = koffi.load(null);
const accept = lib.func("int accept(int fd, void *addr, void *len)") as Call<[number, null, null]>;
const poll = lib.func("int poll(void *fds, unsigned long n, int timeout)") as Call<
  [Buffer, number, number]
>;
const epoll_create1 = lib.func("int epoll_create1(int flags)") as (flags: number) => number;
const epoll_ctl = lib.func("int epoll_ctl(int epfd, int op, int fd, void *event)") as (
  epfd: number,
  op: number,
  fd: number,
  event: Buffer,
) => number;
const epoll_wait = lib.func("int epoll_wait(int epfd, void *events, int n, int timeout)") as Call<
  [number, Buffer, number, number]
>;

export const WAITS = ["epoll_wait", "poll", "accept"] as const;
export type Wait = (typeof WAITS)[number];

const EPOLL_CLOEXEC = 0o2000000;
const EPOLL_CTL_ADD = 1;
const EPOLLIN = 1;
const POLLIN = 1;
const SO_RCVTIMEO = 20;
/** Numbers of the system calls that glibc makes (asm/unistd.h), by `process.arch`. */
const NUMBERS: Readonly<Record<string, Readonly<Record<Wait, number>>>> = {
  x64: { epoll_wait: 232, poll: 7, accept: 43 },
  arm64: { epoll_wait: 22, poll: 73, accept: 202 },
};

/** A thread that waits for a connection. */
export interface Waiting {
  /** True if a connection ended the wait, false if the timeout did. */
  readonly woken: Promise<boolean>;
  /** Returns whether the thread sleeps in its call now, or null if /proc does not show it. */
  sleeps(): boolean | null;
}

/** Waits for a connection at the blocking listener `fd`; accepts it only if `how` is "accept". */
export function waitFor(fd: number, how: Wait, timeoutMs: number): Waiting {
  if (how === "accept") {
    const timeout = Buffer.alloc(16); // struct timeval
    timeout.writeBigInt64LE(BigInt(Math.ceil(timeoutMs / 1000)), 0);
    libc.setsockoptBytes(fd, libc.SOL_SOCKET, SO_RCVTIMEO, timeout);
    const woken = blocking<number>((done) => accept.async(guard.fd(fd), null, null, done));
    return {
      woken: woken.then((got) => {
        if (got >= 0) libc.close(got);
        return got >= 0;
      }),
      sleeps: () => asleep(how, fd),
    };
  }
  if (how === "poll") {
    const fds = Buffer.alloc(8); // struct pollfd
    fds.writeInt32LE(guard.fd(fd), 0);
    fds.writeInt16LE(POLLIN, 4);
    const woken = blocking<number>((done) => poll.async(fds, 1, timeoutMs, done));
    return { woken: woken.then((got) => got > 0 && fds.length > 0), sleeps: () => asleep(how) };
  }
  using own = new Owned();
  const epfd = own.fd(checkSys("epoll_create1", epoll_create1(EPOLL_CLOEXEC)));
  const event = Buffer.alloc(16); // struct epoll_event, packed on x86_64
  event.writeUInt32LE(EPOLLIN, 0);
  checkSys("epoll_ctl", epoll_ctl(epfd, EPOLL_CTL_ADD, guard.fd(fd), event));
  const woken = blocking<number>((done) => epoll_wait.async(epfd, event, 1, timeoutMs, done));
  const opened = own.move();
  return {
    woken: woken.finally(() => opened[Symbol.dispose]()).then((got) => got > 0 && event.length > 0), // keeps the buffer alive until the call has ended
    sleeps: () => asleep(how, epfd),
  };
}

function blocking<T>(start: (done: (error: unknown, value: T) => void) => void): Promise<T> {
  return new Promise((resolve, reject) => {
    start((error, value) => (error ? reject(error as Error) : resolve(value)));
  });
}

/**
 * Returns whether a thread of this process sleeps in the call, with `argument` as its first one if
 * given; null if /proc does not show it (proc_pid_syscall(5)).
 */
function asleep(how: Wait, argument?: number): boolean | null {
  const number = NUMBERS[arch]?.[how];
  if (number === undefined) return null;
  let isVisible = false;
  for (const thread of readdirSync("/proc/self/task")) {
    let text: string;
    try {
      text = readFileSync(`/proc/self/task/${thread}/syscall`, "utf8");
    } catch {
      continue; // the thread has ended, or the kernel does not show the file
    }
    isVisible = true;
    const [call, first] = text.split(" ");
    if (Number(call) !== number) continue;
    if (argument === undefined || Number(first) === argument) return true;
  }
  return isVisible ? false : null;
}
