/** The text of /proc/mounts (proc_pid_mounts(5)). */

/** Returns the path of the first mount of file system `type`, or null if none is mounted. */
export function mountPoint(mounts: string, type: string): string | null {
  for (const line of mounts.split("\n")) {
    const [, path, mountedType] = line.split(" ");
    if (mountedType === type && path) return unescapeOctal(path);
  }
  return null;
}

/**
 * The kernel writes space, tab, newline and backslash of a path as `\040` and so on (getmntent(3)).
 */
function unescapeOctal(path: string): string {
  return path.replace(/\\([0-7]{3})/g, (_, octal) =>
    String.fromCharCode(Number.parseInt(octal, 8)),
  );
}
