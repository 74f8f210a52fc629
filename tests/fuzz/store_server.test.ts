/** A store over its socket: whatever clients send, every other client is served. */

import assert from "node:assert/strict";
import { after } from "node:test";
import { setImmediate as turn } from "node:timers/promises";
import { FdStore } from "../../loader/store/fd_store.ts";
import { StoreServer } from "../../loader/store/server.ts";
import * as libc from "../../loader/sys/libc.ts";
import { recvmsg, sendmsg } from "../../loader/sys/unix_socket.ts";
import { SEQPACKET } from "../helpers/product/impostor_store.ts";
import type { Random } from "../helpers/random.ts";
import { until } from "../helpers/until.ts";
import { Account, deposit, dir, messageOf } from "./deposits.ts";
import { fuzz } from "./fuzz.ts";
import { requestText } from "./store_grammar.ts";

const path = dir.file("store.sock");
const limits = { names: 6, fds: 80, clients: 3 };
const server = new StoreServer({ path, timeoutMs: 1, limits });
after(() => server[Symbol.dispose]());
const account = new Account();

/** One message, with descriptors. */
interface Sent {
  readonly data: Buffer;
  readonly fds: number;
  /** It sends its own connection, too, which the store must not keep. */
  readonly itself: boolean;
  /** It reads the reply before it goes on. */
  readonly reads: boolean;
}

function sent(random: Random): Sent {
  const text = requestText(random);
  const isPut = text.includes('"put"') !== random.oneIn(10);
  return {
    data: messageOf(random, text),
    fds: isPut ? random.pick([1, 1, 2, 5, 253]) : 0,
    itself: random.oneIn(30),
    reads: !random.oneIn(8),
  };
}

/** Sends one message; returns false if the store has closed the connection. */
function send(fd: number, { data, fds, itself }: Sent): boolean {
  const passed: number[] = Array.from({ length: fds }, () => deposit);
  if (itself) passed[0] = fd;
  try {
    return sendmsg(fd, data, passed);
  } catch {
    return false;
  }
}

/** Returns whether the next message is a reply; closes its descriptors. */
async function reads(fd: number): Promise<boolean> {
  for (let turns = 0; turns < 200; turns++) {
    try {
      const message = recvmsg(fd, 128 * 1024);
      for (const it of message?.fds ?? []) libc.close(it);
      if (message) return message.data.length > 0;
    } catch {
      return false;
    }
    await turn();
  }
  return false; // such as after an empty message, which says nothing
}

/** Returns whether every message was answered. */
async function converse(messages: readonly Sent[]): Promise<boolean> {
  const fd = libc.socket(libc.AF_UNIX, SEQPACKET, 0);
  try {
    libc.connect(fd, libc.sockaddrUnix(path));
    for (const message of messages) {
      if (!send(fd, message) || (message.reads && !(await reads(fd)))) return false;
    }
    return true;
  } finally {
    libc.close(fd);
  }
}

async function quiet(): Promise<void> {
  {
    using honest = await FdStore.connect(path);
    const late = (await honest.list()).filter(({ timeoutMs }) => timeoutMs > 1_000);
    for (const { name } of late) await honest.drop(name);
  }
  await until("every client has left", () => server.status().clients === 0);
  await until("every name has expired", () => server.status().names.length === 0);
}

fuzz("clients of the store", {
  make: (random) => ({
    messages: Array.from({ length: 1 + random.below(6) }, () => sent(random)),
    isFollowed: random.oneIn(20),
  }),
  outcomes: ["was answered", "was closed"],
  shrinks: false,
  async check({ messages, isFollowed }) {
    const isAnswered = await converse(messages);
    if (isFollowed) {
      using honest = await FdStore.connect(path);
      await honest.put("honest", [deposit], { timeoutMs: 1 }).catch((error: Error) => {
        assert.match(error.message, /its limit|held by another/);
      });
      assert.ok(Array.isArray(await honest.list()));
    }
    await account.add(quiet);
    return isAnswered ? "was answered" : "was closed";
  },
});
