/**
 * How many accepted connections some processes still have on some ports. A plain
 * server drops those at SIGTERM, so whoever stops it waits for them to end first.
 */
import { readdirSync, readFileSync, readlinkSync } from "node:fs";

/** States of include/net/tcp_states.h in which the server may still have something to say. */
const TCP_ESTABLISHED = 1;
const TCP_CLOSE_WAIT = 8;

/**
 * Connections of `pids` to local `ports`: ESTABLISHED or CLOSE_WAIT, and held by a file descriptor.
 * Those in an accept queue are not counted: no process has them yet.
 * The tables are read first: what is accepted meanwhile may be missed, and is there next time.
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

/** Inode numbers of the connections in a table of /proc/net/tcp's form. */
function connectionsIn(path: string, ports: ReadonlySet<number>): string[] {
  const inodes: string[] = [];
  for (const line of read(path).split("\n").slice(1)) {
    const fields = line.trim().split(/\s+/);
    const [local = "", state = "", inode = "0"] = [fields[1], fields[3], fields[9]];
    const number = Number.parseInt(state, 16);
    if (number !== TCP_ESTABLISHED && number !== TCP_CLOSE_WAIT) continue;
    const port = Number.parseInt(local.slice(local.indexOf(":") + 1), 16);
    if (ports.has(port) && inode !== "0") inodes.push(inode);
  }
  return inodes;
}

/** Inode numbers of a process's sockets. */
function sockets(pid: number): string[] {
  return list(`/proc/${pid}/fd`).flatMap((fd) => {
    const inode = /^socket:\[(\d+)\]$/.exec(link(`/proc/${pid}/fd/${fd}`) ?? "")?.[1];
    return inode === undefined ? [] : [inode];
  });
}

/* A process that is gone has no connections. */
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
