/**
 * Directories that only this user can use. On a file system that every user may write to (a bpffs
 * that was mounted by hand has mode 1777) another user can make our directory first, and put links
 * into it. So a directory is opened without following a link, and checked by its descriptor.
 */
import {
  constants,
  fstatSync,
  lstatSync,
  openSync,
  type Stats,
  statfsSync,
  statSync,
} from "node:fs";
import { dirname } from "node:path";
import { ConflictError } from "../errors.ts";
import { Owned } from "../owned.ts";

export const BPF_FS_MAGIC = 0xcafe4a11; // uapi/linux/magic.h
/** Permissions of the group and of others. */
const OTHERS = 0o077;
const OTHERS_WRITE = 0o022;
const STICKY = 0o1000;

/** Opens a directory; fails with ELOOP or ENOTDIR if there is a link or a file in its place. */
export function openDirectory(path: string): number {
  return openSync(path, constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW);
}

/**
 * Opens a directory on a bpffs that no other user can open, rename or replace. What is in it is
 * ours, too: paths below it are safe afterwards.
 * @throws ConflictError if another user could have made or changed it; ENOENT as Node's error
 */
export function openOwnDirectory(path: string): number {
  using own = new Owned();
  const fd = own.fd(openOrRefuse(path));
  const found = fstatSync(fd);
  if (!isOwn(found) || (found.mode & OTHERS) !== 0) throw refusal(path, found);
  if (statfsSync(`/proc/self/fd/${fd}`).type !== BPF_FS_MAGIC) {
    throw new ConflictError(`${path} is not on a bpf file system: remove it`);
  }
  requireSafeParent(dirname(path));
  return own.release(fd);
}

function openOrRefuse(path: string): number {
  try {
    return openDirectory(path);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === "EACCES") throw refusal(path, lstatSync(path));
    if (code !== "ELOOP" && code !== "ENOTDIR") throw error;
    throw new ConflictError(
      `${path} is a link or a file, which another process made: remove it, and mount the bpf file system with mode=0700`,
    );
  }
}

/** Other users may write to the parent only if they cannot rename the files of others in it. */
function requireSafeParent(path: string): void {
  const found = statSync(path);
  const isShared = (found.mode & OTHERS_WRITE) !== 0 && (found.mode & STICKY) === 0;
  if (isOwn(found) && !isShared) return;
  throw new ConflictError(
    `${path} belongs to uid ${found.uid} and has mode ${octal(found)}, so other users can replace directories in it: run 'chown root ${path}' and 'chmod 0700 ${path}'`,
  );
}

/** Owned by this user or by root. */
function isOwn({ uid }: Stats): boolean {
  return uid === 0 || uid === process.geteuid?.();
}

function refusal(path: string, found: Stats): ConflictError {
  return new ConflictError(
    `${path} belongs to uid ${found.uid} and has mode ${octal(found)}, so its content cannot be trusted: remove it, and mount the bpf file system with mode=0700`,
  );
}

const octal = ({ mode }: Stats) => (mode & 0o7777).toString(8).padStart(4, "0");
