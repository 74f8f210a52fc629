/** Keepers whose sidecar is gone: their standbys are taken over, and then they are ended. */
import { readFileSync } from "node:fs";
import { groupName, type Listener, type Owner } from "../core/listener.ts";
import { KEEPER_COMM } from "./kept.ts";

/** Keepers of groups that were taken over, or detached. */
const ended = new Set<number>();
/** Keepers of groups that could not be taken over yet, by the group's name. */
const awaited = new Map<string, readonly number[]>();

/** Returns whether a listener is a standby: of this process, or of a keeper. */
export function isStandby({ owners }: Listener): boolean {
  return owners.some((owner) => isKeeper(owner) || owner.pid === process.pid);
}

/** Returns whether a listener is a standby, of any sidecar: a keeper has it, too. */
export function isKept({ owners }: Listener): boolean {
  return owners.some(isKeeper);
}

/** Returns whether only keepers have a standby: the sidecar that opened it is gone. */
export function isOrphan({ owners }: Listener): boolean {
  return owners.length > 0 && owners.every(isKeeper);
}

/**
 * The group of these members was taken over, or detached: keepers of its orphans end with {@link
 * endOrphans}.
 * @param isDone false: it was refused, and will be tried again
 */
export function noteOrphans(members: readonly Listener[], isDone = true): void {
  const [orphan, ...others] = members.filter(isOrphan);
  if (!orphan) return;
  const pids = [orphan, ...others].flatMap(({ owners }) => owners.map(({ pid }) => pid));
  const name = groupName(orphan.key);
  if (!isDone) {
    awaited.set(name, pids);
    return;
  }
  awaited.delete(name);
  for (const pid of pids) ended.add(pid);
}

/**
 * Ends every keeper of a group that was taken over, unless it has the standby of a refused one, too.
 * What was not taken over closes: its sidecar was about to close it, or no service covers it.
 */
export function endOrphans(): void {
  const spared = new Set([...awaited.values()].flat());
  for (const pid of ended) {
    if (spared.has(pid)) continue;
    endProcess(pid);
    ended.delete(pid);
  }
}

function endProcess(pid: number): void {
  try {
    // It may have ended meanwhile, and its pid be another process's.
    const comm = readFileSync(`/proc/${pid}/comm`, "utf8").trim();
    if (isKeeper({ pid, comm })) process.kill(pid, "SIGKILL");
  } catch {
    // It has ended.
  }
}

/** Returns whether a process is a keeper: any user's can have the name, but not our user. */
function isKeeper({ pid, comm }: Pick<Owner, "pid" | "comm">): boolean {
  if (comm !== KEEPER_COMM) return false;
  try {
    const status = readFileSync(`/proc/${pid}/status`, "latin1");
    return Number(/^Uid:\t(\d+)/m.exec(status)?.[1]) === process.getuid?.();
  } catch {
    return false; // it has ended
  }
}
