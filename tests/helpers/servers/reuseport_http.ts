/**
 * An HTTP server on a SO_REUSEPORT listener, in this process; graceful_node_main.ts and
 * reloading_server_main.ts are built on it. It answers each request with its path.
 */
import { createServer, type Server, type Socket } from "node:net";
import * as libc from "../../../loader/sys/libc.ts";
import { familyOf, socketAddress } from "../address.ts";

/** Answers with the path of the request and closes. */
function answer(socket: Socket): void {
  let request = "";
  socket.setEncoding("latin1");
  socket.on("error", () => {}); // the client reports a loss
  socket.on("data", (chunk: string) => {
    request += chunk;
    if (!request.endsWith("\r\n\r\n")) return;
    const path = request.split(" ", 2)[1] ?? "";
    socket.end(`HTTP/1.1 200 OK\r\nContent-Length: ${path.length}\r\n\r\n${path}`);
  });
}

/**
 * Listens with a socket of our own, as Node 20 cannot set SO_REUSEPORT. `::` takes IPv4 connections
 * too.
 */
export function listenReuseport(address: string, port: number, mptcp = false): Promise<Server> {
  const type = libc.SOCK_STREAM | libc.SOCK_CLOEXEC | libc.SOCK_NONBLOCK;
  const fd = libc.socket(familyOf(address), type, mptcp ? libc.IPPROTO_MPTCP : 0);
  libc.setsockopt(fd, libc.SOL_SOCKET, libc.SO_REUSEPORT, 1);
  if (familyOf(address) === libc.AF_INET6) {
    libc.setsockopt(fd, libc.IPPROTO_IPV6, libc.IPV6_V6ONLY, address === "::" ? 0 : 1);
  }
  libc.bind(fd, socketAddress(address, port));
  const server = createServer(answer);
  return new Promise((resolve) => server.listen({ fd }, () => resolve(server)));
}
