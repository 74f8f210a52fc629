/**
 * A limit on the connections of an HTTP server, so that its clients never use the file descriptors
 * that the process needs for its work. A new client is served in place of the one that has been
 * idle longest.
 */
import type { IncomingMessage, ServerResponse } from "node:http";
import type { Server, Socket } from "node:net";

/** Scrapers keep one connection each; a host has a few of them. */
export const MAX_CONNECTIONS = 32;

/** A connection, since when it has been in its state, and whether a request is under way on it. */
interface Connection {
  /** Its addresses: those of the TLS stream on top of it are the same. */
  readonly name: string;
  sinceMs: number;
  isBusy: boolean;
}

export interface LimitedConnections {
  /** Connections that were closed, or not accepted, because of the limit. */
  readonly dropped: number;
  /** Closes all, also those in a TLS handshake. */
  close(): void;
}

/**
 * Limits the connections of a server that does not listen yet.
 * @param reached called each time that a connection is dropped
 */
export function limitConnections(
  server: Server,
  reached: () => void,
  max = MAX_CONNECTIONS,
): LimitedConnections {
  const open = new Map<Socket, Connection>();
  const byName = new Map<string, Socket>();
  let dropped = 0;
  const set = (stream: Socket, isBusy: boolean) => {
    const name = nameOf(stream);
    const socket = byName.get(name);
    if (socket) open.set(socket, { name, sinceMs: performance.now(), isBusy });
  };
  const forget = (socket: Socket) => {
    const name = open.get(socket)?.name ?? "";
    open.delete(socket);
    if (byName.get(name) === socket) byName.delete(name);
  };
  server.on("connection", (socket) => {
    if (open.size >= max) {
      const idle = longestIdle(open);
      (idle ?? socket).destroy();
      dropped++;
      reached();
      if (idle === undefined) return;
      forget(idle);
    }
    const name = nameOf(socket);
    open.set(socket, { name, sinceMs: performance.now(), isBusy: false });
    byName.set(name, socket);
    socket.once("close", () => forget(socket));
  });
  server.on("request", ({ socket }: IncomingMessage, response: ServerResponse) => {
    set(socket, true);
    response.once("close", () => set(socket, false));
  });
  return {
    get dropped() {
      return dropped;
    },
    close: () => {
      for (const socket of open.keys()) socket.destroy();
    },
  };
}

const nameOf = ({ localAddress, remoteAddress, remotePort }: Socket) =>
  `${localAddress} ${remoteAddress} ${remotePort}`;

/** A client that has not read its response for this long, ms, is as good as idle. */
const SLOW_MS = 5_000;

function longestIdle(open: ReadonlyMap<Socket, Connection>): Socket | undefined {
  const slowMs = performance.now() - SLOW_MS;
  const [longest] = [...open]
    .filter(([, { isBusy, sinceMs }]) => !isBusy || sinceMs < slowMs)
    .toSorted(([, a], [, b]) => Number(a.isBusy) - Number(b.isBusy) || a.sinceMs - b.sinceMs);
  return longest?.[0];
}
