/** Pins: kernel objects with a path on a bpf file system, and checks of their shape. */
import type { MapShape } from "../core/map_shapes.ts";
import { hasCode } from "../errors.ts";
import { checkRet } from "../sys/check.ts";
import * as bpf from "../sys/libbpf.ts";

/** Pins the map, program or link behind `fd`, so that it outlives its holders. */
export function pin(fd: number, path: string): void {
  checkRet("bpf_obj_pin", bpf.bpf_obj_pin(fd, path));
}

/** Returns a file descriptor of the object pinned at `path`; the caller closes it. */
export function obtain(path: string): number {
  return checkRet("bpf_obj_get", bpf.bpf_obj_get(path));
}

/** As {@link obtain}; returns null if the path has no object, but nothing or a directory. */
export function obtainIfAny(path: string): number | null {
  try {
    return obtain(path);
  } catch (error) {
    if (hasCode(error, "ENOENT", "ENOTDIR", "EACCES", "ELOOP", "EINVAL")) return null;
    throw error;
  }
}

/** Returns one phrase per difference between a pinned map and the shape this version expects. */
export function differ(map: string, expected: MapShape, actual: Required<MapShape>): string[] {
  const names = ["type", "key", "value", "entries", "flags"] as const;
  return names.flatMap((name) => {
    const value = expected[name];
    return value === undefined || value === actual[name]
      ? []
      : [`map ${map} has ${name} ${actual[name]}, not ${value}`];
  });
}
