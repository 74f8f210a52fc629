/**
 * Accepted connections of processes. A plain server drops them at SIGTERM, so exec waits for them
 * to end before it stops one.
 */
import { readdirSync, readFileSync, readlinkSync } from "node:fs";
import { TCP_CLOSE_WAIT, TCP_ESTABLISHED } from "../sys/constants.ts";

/** States in which the server may still send. */
const OPEN_STATES = [TCP_ESTABLISHED, TCP_CLOSE_WAIT];

/**
 * Returns how many connections to local `ports` the processes `pids` have accepted and still hold
 * open. A connection in an accept queue does not count: no process has a descriptor of it.
 * Reads the tables first, so it may miss a connection that is accepted meanwhile.
 */
export function establishedConnections(
  pids: readonly number[],
  ports: ReadonlySet<number>,
): number {
  const inodes = new Set<string>();
  const namespaces = new Set<string>();
  for (const pid of pids) {
    const netns = link(`/proc/${pid}/ns/net`);
    if (netns === null || namespaces.has(netns)) continue;
    namespaces.add(netns);
    for (const table of ["tcp", "tcp6"]) {
      for (const inode of connectionsIn(`/proc/${pid}/net/${table}`, ports)) inodes.add(inode);
    }
  }
  if (inodes.size === 0) return 0;
  const held = new Set(pids.flatMap(sockets).filter((inode) => inodes.has(inode)));
  return held.size;
}

/** Returns the inode numbers of open connections in a table such as /proc/net/tcp. */
function connectionsIn(path: string, ports: ReadonlySet<number>): string[] {
  const inodes: string[] = [];
  for (const line of read(path).split("\n").slice(1)) {
    const fields = line.trim().split(/\s+/);
    const [local = "", state = "", inode = "0"] = [fields[1], fields[3], fields[9]];
    if (!OPEN_STATES.includes(Number.parseInt(state, 16))) continue;
    const port = Number.parseInt(local.slice(local.indexOf(":") + 1), 16);
    if (ports.has(port) && inode !== "0") inodes.push(inode);
  }
  return inodes;
}

/** Returns the inode numbers of a process's sockets. */
function sockets(pid: number): string[] {
  return list(`/proc/${pid}/fd`).flatMap((fd) => {
    const inode = /^socket:\[(\d+)\]$/.exec(link(`/proc/${pid}/fd/${fd}`) ?? "")?.[1];
    return inode === undefined ? [] : [inode];
  });
}

/* A process that has ended has no connections: its files read as empty. */
function read(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return "";
  }
}

function list(path: string): string[] {
  try {
    return readdirSync(path);
  } catch {
    return [];
  }
}

function link(path: string): string | null {
  try {
    return readlinkSync(path);
  } catch {
    return null;
  }
}
