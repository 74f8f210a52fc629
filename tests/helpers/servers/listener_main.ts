/**
 * The process of {@link ListenerProcess}: opens raw listeners and obeys commands over IPC. libuv
 * does not know a listener before the command `serve`, so connections stay in its accept queue.
 */
import { createServer, type Server } from "node:net";
import * as libc from "../../../loader/sys/libc.ts";
import { familyOf, socketAddress } from "../address.ts";
import { attachClassicFilter } from "../net/classic_filter.ts";
import { putIntoSockarray } from "../net/sockarray.ts";
import type { Command, ListenOptions, Reply, SocketOption } from "./listener.ts";
import { echoWithPid } from "./pid_echo.ts";

const servers = new Map<number, Server>();

function setOption(fd: number, { level, name, value }: SocketOption): void {
  if (typeof value === "number") libc.setsockopt(fd, level, name, value);
  else libc.setsockoptBytes(fd, level, name, Buffer.from(value));
}

function open(o: ListenOptions): { fd: number; cookie: string } {
  const type = o.udp ? libc.SOCK_DGRAM : libc.SOCK_STREAM;
  const fd = libc.socket(
    familyOf(o.address),
    type | libc.SOCK_CLOEXEC | libc.SOCK_NONBLOCK,
    o.mptcp ? libc.IPPROTO_MPTCP : 0,
  );
  try {
    if (o.reuseport ?? true) libc.setsockopt(fd, libc.SOL_SOCKET, libc.SO_REUSEPORT, 1);
    libc.setsockopt(fd, libc.SOL_SOCKET, libc.SO_REUSEADDR, 1);
    if (familyOf(o.address) === libc.AF_INET6) {
      libc.setsockopt(fd, libc.IPPROTO_IPV6, libc.IPV6_V6ONLY, o.dual ? 0 : 1);
    }
    if (o.fastOpen) libc.setsockopt(fd, libc.IPPROTO_TCP, libc.TCP_FASTOPEN, 256);
    for (const option of o.options ?? []) setOption(fd, option);
    libc.bind(fd, socketAddress(o.address, o.port));
    if (!o.udp) libc.listen(fd, o.backlog ?? 256);
  } catch (error) {
    libc.close(fd);
    throw error;
  }
  const cookie = libc.getsockopt(fd, libc.SOL_SOCKET, libc.SO_COOKIE, 8).readBigUInt64LE();
  return { fd, cookie: String(cookie) };
}

function close(fd: number): void {
  const server = servers.get(fd);
  servers.delete(fd);
  if (server) server.close();
  else libc.close(fd);
}

function serve(fd: number): Promise<void> {
  const server = createServer(echoWithPid);
  servers.set(fd, server);
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen({ fd }, resolve);
  });
}

/**
 * Opens and closes listeners as fast as it can: their owner is gone before the sidecar reads it.
 */
function churn(o: ListenOptions, times: number): void {
  for (let i = 0; i < times; i++) libc.close(open(o).fd);
}

async function obey(command: Command): Promise<unknown> {
  switch (command.do) {
    case "open":
      return open(command.options);
    case "close":
      return close(command.fd);
    case "shutdown":
      return libc.shutdown(command.fd, libc.SHUT_RDWR);
    case "listen":
      return libc.listen(command.fd, 256);
    case "set":
      return setOption(command.fd, command.option);
    case "serve":
      return await serve(command.fd);
    case "filter":
      return attachClassicFilter(command.fd);
    case "sockarray":
      return await putIntoSockarray(command.fd);
    case "churn":
      return churn(command.options, command.times);
    case "exit":
      process.exit(0);
  }
}

process.on("message", async ({ id, command }: { id: number; command: Command }) => {
  let reply: Reply;
  try {
    reply = { id, value: await obey(command) };
  } catch (error) {
    reply = { id, error: (error as Error).message };
  }
  process.send?.(reply);
});
process.on("disconnect", () => process.exit(0));
process.send?.({ id: 0 } satisfies Reply);
