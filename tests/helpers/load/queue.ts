/** Clients that wait in a listener's accept queue, and what becomes of them. */
import { once } from "node:events";
import { connect, createServer, type Socket } from "node:net";

/** A client that has sent `text` and waits to be answered. */
export interface Waiting {
  readonly text: string;
  /** What it was sent, or the code of what ended it. */
  readonly outcome: Promise<string>;
}

/** Opens `count` of them; returns when all are connected, before anybody accepts. */
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

/** Answers all that wait on a listener, and who comes, with what they sent, until it is closed. */
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

/** The outcomes by how often: what was answered right is `ok`. */
export async function outcomes(waiting: readonly Waiting[]): Promise<Record<string, number>> {
  const tally: Record<string, number> = {};
  for (const { text, outcome } of waiting) {
    const result = await outcome;
    const kind = result === text ? "ok" : result;
    tally[kind] = (tally[kind] ?? 0) + 1;
  }
  return tally;
}
