/** `store_step_main.js PATH STEP NAME PORT`: a client of the store that hangs at a step; see store.ts. */

import { parseSpec } from "../../../loader/core/spec.ts";
import { listenOn } from "../../../loader/store/client_listen.ts";
import { FdStore } from "../../../loader/store/fd_store.ts";
import { encode } from "../../../loader/store/protocol.ts";
import * as libc from "../../../loader/sys/libc.ts";
import { SOCK_SEQPACKET, sendmsg } from "../../../loader/sys/unix_socket.ts";
import type { Step } from "./store.ts";

const [, , path = "", step, name = "", port = ""] = process.argv;
const listener = () => listenOn(parseSpec(`127.0.0.1:${port}`));

/** A connection that sends and never reads. */
function mute(): number {
  const fd = libc.socket(libc.AF_UNIX, SOCK_SEQPACKET | libc.SOCK_CLOEXEC, 0);
  libc.connect(fd, libc.sockaddrUnix(path));
  return fd;
}

const steps: Readonly<Record<Step, () => unknown>> = {
  connected: mute,
  "put-sent": () => {
    const put = {
      op: "put",
      name,
      timeoutMs: null,
      shared: false,
      add: false,
      taken: false,
    } as const;
    sendmsg(mute(), encode(put), [listener()]);
  },
  put: async () => (await FdStore.connect(path)).put(name, [listener()]),
  "take-sent": () => {
    sendmsg(mute(), encode({ op: "take", name, keep: false, timeoutMs: null }));
  },
  // Taken and not confirmed is what `keep` is, until it is confirmed.
  "take-received": async () => (await FdStore.connect(path)).take(name, { keep: true }),
  "take-kept": async () => (await FdStore.connect(path)).listen(name, `127.0.0.1:${port}`),
  "take-confirmed": async () => (await FdStore.connect(path)).take(name),
};

await steps[step as Step]();
process.stdout.write("reached\n");
setInterval(() => {}, 1000);
