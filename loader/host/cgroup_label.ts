/** A short name for the owner of a cgroup: a container, or a unit of systemd. Pure. */
import { printable } from "../printable.ts";

/** Container runtimes name a cgroup by 64 hex digits, some with their own name before them. */
const CONTAINER = /(?:^|[/-])([0-9a-f]{64})(?:\.scope)?(?:\/|$)/;
const RUNTIMES: readonly (readonly [pattern: RegExp, name: string])[] = [
  [/(?:^|\/)docker[/-]/, "docker"],
  [/(?:^|\/)libpod-/, "podman"],
  [/(?:^|\/)(?:cri-containerd|crio)-|(?:^|\/)kubepods/, "kubernetes"],
];
/** As much of an id as runtimes show themselves. */
const ID_DIGITS = 12;

/**
 * Returns `docker 0123456789ab`, `nginx.service` or another name of the innermost unit; null if the
 * path names neither.
 * @param path as in /proc/PID/cgroup
 */
export function cgroupLabel(path: string): string | null {
  const [, id] = CONTAINER.exec(path) ?? [];
  if (id !== undefined) {
    const runtime = RUNTIMES.find(([pattern]) => pattern.test(path))?.[1] ?? "container";
    return `${runtime} ${id.slice(0, ID_DIGITS)}`;
  }
  const unit = path.split("/").findLast((part) => /\.(?:service|scope)$/.test(part));
  return unit === undefined ? null : printable(unit);
}
