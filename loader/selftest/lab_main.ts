/**
 * The child process of {@link Lab}: servers and clients in a network namespace, which carry out
 * calls that arrive over IPC. It uses no BPF: to the loader it is an ordinary server. It ends with
 * its parent.
 */
import { statSync } from "node:fs";
import { createServer } from "node:net";
import { SysError } from "../errors.ts";
import { Owned } from "../owned.ts";
import { type Waiting, waitFor } from "../sys/blocking_wait.ts";
import * as libc from "../sys/libc.ts";
import { setDumpable, setLoopbackUp, unshareNetns } from "../sys/own_process.ts";
import { LabClient } from "./lab_client.ts";
import type {
  CallName,
  Calls,
  Greeting,
  LabReply,
  LabRequest,
  Sleep,
  Whereabouts,
} from "./lab_protocol.ts";

const LOOPBACK = Buffer.from([127, 0, 0, 1]);
const BACKLOG = 256;
const TCP_DEFER_ACCEPT = 9; // linux/tcp.h
const DEFER_S = 10; // longer than a trial takes
const WAIT_MS = 15_000;

type Handlers = {
  [N in CallName]: (argument: Calls[N][0]) => Calls[N][1] | Promise<Calls[N][1]>;
};

const batches: LabClient[][] = [];
const sleepers = new Map<number, { waiting: Waiting; woken: boolean | null }>();

const handlers: Handlers = {
  open({ port, defer }) {
    using own = new Owned();
    const fd = own.fd(libc.socket(libc.AF_INET, libc.SOCK_STREAM | libc.SOCK_CLOEXEC, 0));
    libc.setsockopt(fd, libc.SOL_SOCKET, libc.SO_REUSEPORT, 1);
    if (defer) libc.setsockopt(fd, libc.IPPROTO_TCP, TCP_DEFER_ACCEPT, DEFER_S);
    libc.bind(fd, libc.sockaddr(libc.AF_INET, LOOPBACK, port));
    libc.listen(fd, BACKLOG);
    const cookie = libc.getsockopt(fd, libc.SOL_SOCKET, libc.SO_COOKIE, 8).readBigUInt64LE();
    return own.release({ fd, port: libc.localPort(fd), cookie });
  },
  async connect({ port, count }) {
    const batch = await Promise.all(Array.from({ length: count }, () => LabClient.open(port)));
    return batches.push(batch) - 1;
  },
  talk({ batch }) {
    for (const client of batches[batch] ?? []) client.talk();
    return null;
  },
  close({ fd, batch }) {
    libc.close(fd);
    return batch === undefined ? null : handlers.talk({ batch });
  },
  serve({ fd }) {
    const server = createServer((socket) => {
      socket.on("error", () => {}); // its client reports the loss
      socket.pipe(socket);
    });
    return new Promise((resolve, reject) => {
      server.once("error", reject).listen({ fd }, () => resolve(null));
    });
  },
  async tally({ batch }) {
    const clients = batches[batch] ?? [];
    for (const client of clients) client.expect();
    const outcomes = await Promise.all(clients.map(({ outcome }) => outcome));
    const lost = outcomes.filter((outcome) => outcome !== null);
    return { served: outcomes.length - lost.length, lost: [...new Set(lost)].sort() };
  },
  hide({ hidden }) {
    setDumpable(!hidden);
    return null;
  },
  wait({ fd, how }) {
    const sleeper = { waiting: waitFor(fd, how, WAIT_MS), woken: null as boolean | null };
    sleepers.set(fd, sleeper);
    void sleeper.waiting.woken.then((woken) => {
      sleeper.woken = woken;
    });
    return null;
  },
  sleep({ fd }): Sleep {
    const sleeper = sleepers.get(fd);
    if (!sleeper || sleeper.woken === false) return "unknown";
    if (sleeper.woken) return "woken";
    const sleeps = sleeper.waiting.sleeps();
    if (sleeps === null) return "unknown";
    return sleeps ? "asleep" : "awake";
  },
};

async function answer({ id, name, argument }: LabRequest): Promise<LabReply> {
  try {
    return { id, value: await handlers[name](argument as never) };
  } catch (error) {
    return { id, error: (error as Error).message };
  }
}

function enter(): Greeting {
  try {
    const where = process.argv[2] as Whereabouts;
    if (where === "new") unshareNetns();
    if (where !== "here") setLoopbackUp();
    return { netns: statSync("/proc/self/ns/net").ino };
  } catch (error) {
    return { code: error instanceof SysError ? error.code : "", error: (error as Error).message };
  }
}

// exit() would wait for the threads that sleep.
process.on("disconnect", () => process.kill(process.pid, "SIGKILL"));
process.on("message", async (request: LabRequest) => process.send?.(await answer(request)));
process.send?.(enter());
