/**
 * `store_step_main.js PATH STEP NAME PORT`: a client of {@link StoreProcess} that hangs at a step.
 */
import { parseSpec } from "../../../loader/core/spec.ts";
import { listenOn } from "../../../loader/store/client_listen.ts";
import { FdStore } from "../../../loader/store/fd_store.ts";
import { encode } from "../../../loader/store/protocol.ts";
import * as libc from "../../../loader/sys/libc.ts";
import { SOCK_SEQPACKET, sendmsg } from "../../../loader/sys/unix_socket.ts";
import type { Step } from "./store.ts";

const [, , path = "", step, name = "", port = ""] = process.argv;
const listener = () => listenOn(parseSpec(`127.0.0.1:${port}`));

/** Connects; the connection sends and never reads. */
function writeOnly(): number {
  const fd = libc.socket(libc.AF_UNIX, SOCK_SEQPACKET | libc.SOCK_CLOEXEC, 0);
  libc.connect(fd, libc.sockaddrUnix(path));
  return fd;
}

const steps: Readonly<Record<Step, () => unknown>> = {
  connected: writeOnly,
  "put-sent": () => {
    const put = {
      op: "put",
      name,
      timeoutMs: null,
      shared: false,
      add: false,
      taken: false,
    } as const;
    sendmsg(writeOnly(), encode(put), [listener()]);
  },
  put: async () => (await FdStore.connect(path)).put(name, [listener()]),
  "take-sent": () => {
    sendmsg(writeOnly(), encode({ op: "take", name, keep: false, timeoutMs: null }));
  },
  // `keep` leaves the listener taken and not confirmed.
  "take-received": async () => (await FdStore.connect(path)).take(name, { keep: true }),
  "take-kept": async () => (await FdStore.connect(path)).listen(name, `127.0.0.1:${port}`),
  "take-confirmed": async () => (await FdStore.connect(path)).take(name),
};

await steps[step as Step]();
process.stdout.write("reached\n");
setInterval(() => {}, 1000);
