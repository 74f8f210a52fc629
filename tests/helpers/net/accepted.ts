/** Reads from the kernel which connections a server has accepted: the server need not cooperate. */
import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { until } from "../until.ts";

const run = promisify(execFile);
/** One line of ss: state, two queue lengths, the server's address, the client's, details. */
const ROW = /^\S+\s+\d+\s+\d+\s+\S+\s+\S+:(\d+)\s.*\bino:(\d+)/gm;

/** Client ports of the established connections with a server's port. */
export interface Connections {
  /** Accepted by a process and not closed by it. */
  readonly accepted: ReadonlySet<number>;
  /** Still queued: a connection has no inode before it is accepted. */
  readonly waiting: ReadonlySet<number>;
}

/** Runs ss: /proc/net/tcp also lists each TIME_WAIT socket, so it is slow to read after a load. */
export async function connectionsWith(port: number): Promise<Connections> {
  const filter = ["state", "established", "state", "close-wait", "sport", "=", `:${port}`];
  const { stdout } = await run("ss", ["-Htne", ...filter], { maxBuffer: 64 * 1024 * 1024 });
  const accepted = new Set<number>();
  const waiting = new Set<number>();
  for (const [, client, inode] of stdout.matchAll(ROW)) {
    (inode === "0" ? waiting : accepted).add(Number(client));
  }
  return { accepted, waiting };
}

/** Waits until so many connections are queued; returns how many are. */
export async function queued(port: number, count: number): Promise<number> {
  return until(`${count} connections are queued`, async () => {
    const { waiting } = await connectionsWith(port);
    return waiting.size >= count ? waiting.size : null;
  });
}
