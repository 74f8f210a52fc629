/** One short HTTP connection and its result; every load in these tests is made of them. */
import { connect } from "node:net";

export const KINDS = ["ok", "refused", "reset", "timeout", "short", "other"] as const;
/**
 * The result of a connection: `short` is an end before the whole right response, `other` an error
 * of the client itself, which no test expects.
 */
export type Kind = (typeof KINDS)[number];
export type Tally = Record<Kind, number>;

/** A connection that did not get the whole right response. Times are Date.now(). */
export interface Loss {
  readonly kind: Kind;
  /** The port of the server. */
  readonly port: number;
  readonly localPort: number;
  readonly openedMs: number;
  readonly lostMs: number;
}

export interface Visit {
  port: number;
  /** The server's address; default 127.0.0.1. */
  host?: string;
  /** The body the server must answer with. */
  path: string;
  localAddress?: string;
  onConnect?: (localPort: number) => void;
  onLoss?: (loss: Loss) => void;
  /** Connects and sends no request. */
  silent?: boolean;
  /** Default: far longer than any retransmission in the tests. */
  timeoutMs?: number;
}

/** Far longer than any retransmission in the tests, of which the longest takes 3 s. */
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

/** Connects, requests `path` and expects it as the body; never rejects. */
export function visit(of: Visit): Promise<Kind> {
  const { port, host = "127.0.0.1", path, localAddress, onConnect, onLoss, silent, timeoutMs } = of;
  return new Promise((resolve) => {
    const openedMs = Date.now();
    const socket = connect({ host, port, ...(localAddress && { localAddress }) });
    // connect(2) has chosen the port by the next tick; after a loss it can no longer be read.
    let localPort = 0;
    process.nextTick(() => {
      localPort = socket.localPort ?? 0;
    });
    let response = "";
    let failure: Kind | undefined;
    const timer = setTimeout(() => {
      failure = "timeout";
      socket.destroy();
    }, timeoutMs ?? TIMEOUT_MS);

    socket.setEncoding("latin1");
    if (onConnect) socket.once("connect", () => onConnect(localPort));
    socket.on("data", (chunk: string) => {
      response += chunk;
    });
    socket.on("error", (error: NodeJS.ErrnoException) => {
      failure ??= KIND_OF_CODE[error.code ?? ""] ?? "other";
    });
    // The server closes first, so nothing of the response is still on its way.
    socket.on("close", () => {
      clearTimeout(timer);
      const whole = response.startsWith("HTTP/1.1 200 ") && response.endsWith(`\r\n\r\n${path}`);
      const kind = whole ? "ok" : (failure ?? "short");
      if (!whole) onLoss?.({ kind, port, localPort, openedMs, lostMs: Date.now() });
      resolve(kind);
    });
    if (silent) return;
    socket.write(`GET ${path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n`);
  });
}
