/** Clients that wait in the accept queue of a listener, and their results. */
import { once } from "node:events";
import { connect, createServer, type Socket } from "node:net";

/** A client that has sent `text` and waits for an answer. */
export interface Waiting {
  readonly text: string;
  /** The answer, or the error code that ended the connection. */
  readonly outcome: Promise<string>;
}

/** Opens `count` clients; returns when all are connected and before any is accepted. */
export async function queueUp(port: number, count: number, label: string): Promise<Waiting[]> {
  const all = Array.from({ length: count }, (_, i) => wait(port, `${label} ${i}`));
  await Promise.all(all.map(({ connected }) => connected));
  return all;
}

function wait(port: number, text: string): Waiting & { readonly connected: Promise<unknown> } {
  const socket = connect(port, "127.0.0.1");
  let answer = "";
  const outcome = new Promise<string>((resolve) => {
    socket.setEncoding("utf8").on("data", (data: string) => {
      answer += data;
    });
    socket.on("error", (error: NodeJS.ErrnoException) => resolve(error.code ?? "?"));
    socket.on("close", () => resolve(answer));
  });
  socket.write(text);
  const connected = Promise.race([once(socket, "connect"), outcome]);
  return { text, outcome, connected };
}

/** Echoes to every queued and new connection of a listener; returns a function that closes it. */
export async function echoOn(fd: number): Promise<() => Promise<void>> {
  const server = createServer((socket: Socket) => {
    socket.on("error", () => {});
    socket.once("data", (data) => socket.end(data));
  });
  server.listen({ fd });
  await once(server, "listening");
  return async () => {
    server.close();
    await once(server, "close");
  };
}

/** Counts the clients by outcome; a right answer counts as `ok`. */
export async function outcomes(waiting: readonly Waiting[]): Promise<Record<string, number>> {
  const tally: Record<string, number> = {};
  for (const { text, outcome } of waiting) {
    const result = await outcome;
    const kind = result === text ? "ok" : result;
    tally[kind] = (tally[kind] ?? 0) + 1;
  }
  return tally;
}
