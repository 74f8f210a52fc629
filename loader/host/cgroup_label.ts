/** What a cgroup's path says of its processes: unit, container, pod. Pure. */
import { printable } from "../printable.ts";

/** A path names what it is below, so a user may name cgroups that were delegated at will. */
export interface CgroupLabels {
  /** Innermost unit of systemd that is no container; null: none. */
  readonly unit: string | null;
  /** Id of the innermost container, or its name (LXC); null: none. */
  readonly container: string | null;
  /** What runs the container: `docker`, `podman`, `kubernetes`, `lxc`, `container`; null: none. */
  readonly runtime: string | null;
  /** Uid of the Kubernetes pod; null: none. Its namespace and name are in no path. */
  readonly pod: string | null;
}

/** Container runtimes name a cgroup by 64 hex digits, some with their own name before them. */
const CONTAINER = /(?:^|[-:])([0-9a-f]{64})(?:\.scope)?$/;
/** Of LXC 4 and newer; older ones write `lxc/NAME`, which may be any cgroup. */
const LXC = /^lxc\.payload\.(.+)$/;
/** A static pod's uid has no dashes. The systemd driver writes underscores, as - is a level. */
const POD = /(?:^|-)pod([0-9a-f]{8}([-_]?)(?:[0-9a-f]{4}\2){3}[0-9a-f]{12})(?:\.slice(?::.*)?)?$/;
const UNIT = /\.(?:service|scope)$/;
/** By the container's part of the path, and the part before it. */
const RUNTIMES: readonly (readonly [pattern: RegExp, name: string])[] = [
  [/\/docker-|^docker\//, "docker"],
  [/\/libpod-/, "podman"],
  [/\/(?:cri-containerd|crio)-/, "kubernetes"],
  [/\/lxc\./, "lxc"],
];
/** As much of an id as runtimes show themselves. */
const ID_DIGITS = 12;
/** The longest label, in characters; a name has up to 255 bytes, which may each need an escape. */
const MAX_LENGTH = 128;

/** @param path as in /proc/PID/cgroup; from a cgroup namespace it may begin with `/..` */
export function cgroupLabels(path: string): CgroupLabels {
  const parts = path.split("/");
  const at = parts.findLastIndex((part) => containerOf(part) !== null);
  const container = containerOf(parts[at] ?? "");
  const pod = parts.findLast((part) => POD.test(part));
  const uid = pod && POD.exec(pod)?.[1]?.replaceAll("_", "-");
  // Around a pod there are units of the node only: they are not what runs in the pod.
  const near = uid ? parts.slice(at < 0 ? parts.length : at + 1) : parts;
  const unit = near.findLast((part) => UNIT.test(part) && !CONTAINER.test(part));
  return {
    unit: unit === undefined ? null : short(unit),
    container,
    runtime: container && (uid ? "kubernetes" : runtimeOf(parts.slice(at - 1, at + 1).join("/"))),
    pod: uid ?? null,
  };
}

/** Returns `nginx.service`, `podman 0123456789ab`, `kubernetes 0123456789ab, pod UID`. */
export function ownerText({ unit, container, runtime, pod }: CgroupLabels): string {
  const parts = [
    ...(container === null ? [] : [`${runtime} ${shortId(container)}`]),
    ...(pod === null ? [] : [`pod ${pod}`]),
    ...(unit === null ? [] : [unit]),
  ];
  return parts.join(", ");
}

/**
 * Returns `docker 0123456789ab`, `nginx.service` or another name of the innermost container or unit;
 * null if the path names neither.
 * @param path as for {@link cgroupLabels}
 */
export function cgroupLabel(path: string): string | null {
  const labels = cgroupLabels(path);
  const { container } = labels;
  return container === null ? labels.unit : `${labels.runtime} ${shortId(container)}`;
}

/** Returns an id as runtimes show it. */
function shortId(container: string): string {
  return CONTAINER.test(container) ? container.slice(0, ID_DIGITS) : container;
}

function runtimeOf(end: string): string {
  return RUNTIMES.find(([pattern]) => pattern.test(end))?.[1] ?? "container";
}

function containerOf(part: string): string | null {
  const id = CONTAINER.exec(part)?.[1];
  if (id !== undefined) return id;
  const name = LXC.exec(part)?.[1];
  return name === undefined ? null : short(name);
}

function short(text: string): string {
  const shown = printable(text);
  return shown.length <= MAX_LENGTH ? shown : `${[...shown].slice(0, MAX_LENGTH).join("")}…`;
}
