/** What a server has accepted, by the kernel's word: no server need cooperate. */
import { execFile } from "node:child_process";
import { promisify } from "node:util";

const run = promisify(execFile);
/** State, two queue lengths, the server's end, the client's, and more. */
const ROW = /^\S+\s+\d+\s+\d+\s+\S+\s+\S+:(\d+)\s.*\bino:(\d+)/gm;

/** Established connections with a server's port, by the ports of their clients. */
export interface Connections {
  /** A process has accepted them and not closed them. */
  readonly accepted: ReadonlySet<number>;
  /** Nobody has accepted them yet: they have no inode, as there is no file. */
  readonly waiting: ReadonlySet<number>;
}

/** Not from /proc/net/tcp, which is slow to read after a load: it lists each TIME_WAIT. */
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
