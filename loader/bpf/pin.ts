/** Pins: kernel objects with a path on a bpf file system, and whether they are what we think. */
import type { MapShape } from "../core/map_shapes.ts";
import { checkRet } from "../sys/check.ts";
import * as bpf from "../sys/libbpf.ts";

/** Gives the map, program or link behind `fd` a path; it then outlives its holders. */
export function pin(fd: number, path: string): void {
  checkRet("bpf_obj_pin", bpf.bpf_obj_pin(fd, path));
}

/** A file descriptor on what is pinned at `path`, the caller's to close. */
export function obtain(path: string): number {
  return checkRet("bpf_obj_get", bpf.bpf_obj_get(path));
}

/** One phrase for each way in which a pinned map is not of this version. */
export function differ(map: string, want: MapShape, have: Required<MapShape>): string[] {
  const names = ["type", "key", "value", "entries", "flags"] as const;
  return names.flatMap((name) => {
    const wanted = want[name];
    return wanted === undefined || wanted === have[name]
      ? []
      : [`map ${map} has ${name} ${have[name]}, not ${wanted}`];
  });
}
