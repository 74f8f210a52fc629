/** One short HTTP connection, classified; the atom of every load in these tests. */
import { connect } from "node:net";

export const KINDS = ["ok", "refused", "reset", "timeout", "short", "other"] as const;
/**
 * What became of a connection: `short` is an end before the whole right
 * response, `other` an error on the client's own side, which no test expects.
 */
export type Kind = (typeof KINDS)[number];
export type Tally = Record<Kind, number>;

export interface Visit {
  port: number;
  /** The server must send exactly this back. */
  path: string;
  localAddress?: string;
  onConnect?: () => void;
}

/** Far beyond any retransmission that the tests provoke: the longest is 3 s. */
const TIMEOUT_MS = 20_000;

const KIND_OF_CODE: Record<string, Kind> = {
  ECONNREFUSED: "refused",
  ECONNRESET: "reset",
  EPIPE: "reset",
  ETIMEDOUT: "timeout",
};

export function noVisits(): Tally {
  return { ok: 0, refused: 0, reset: 0, timeout: 0, short: 0, other: 0 };
}

export function add(into: Tally, tally: Tally): Tally {
  for (const kind of KINDS) into[kind] += tally[kind];
  return into;
}

export function connections(tally: Tally): number {
  return KINDS.reduce((sum, kind) => sum + tally[kind], 0);
}

export function lost(tally: Tally): number {
  return connections(tally) - tally.ok;
}

/** Connects, asks for `path` and wants it back as the body; never rejects. */
export function visit({ port, path, localAddress, onConnect }: Visit): Promise<Kind> {
  return new Promise((resolve) => {
    const socket = connect({ host: "127.0.0.1", port, ...(localAddress && { localAddress }) });
    let response = "";
    let failure: Kind | undefined;
    const timer = setTimeout(() => {
      failure = "timeout";
      socket.destroy();
    }, TIMEOUT_MS);

    socket.setEncoding("latin1");
    if (onConnect) socket.once("connect", onConnect);
    socket.on("data", (chunk: string) => {
      response += chunk;
    });
    socket.on("error", (error: NodeJS.ErrnoException) => {
      failure ??= KIND_OF_CODE[error.code ?? ""] ?? "other";
    });
    // The server closes first: by then all of the response is here, or never will be.
    socket.on("close", () => {
      clearTimeout(timer);
      const whole = response.startsWith("HTTP/1.1 200 ") && response.endsWith(`\r\n\r\n${path}`);
      resolve(whole ? "ok" : (failure ?? "short"));
    });
    socket.write(`GET ${path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n`);
  });
}
