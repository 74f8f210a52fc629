/**
 * A classic BPF program on a reuseport group, as some servers set: a foreign program to the
 * sidecar.
 */
import { attachReturnZero } from "../../../loader/sys/classic_filter.ts";

const SO_ATTACH_REUSEPORT_CBPF = 51;

/** Attaches `return 0`: the first listener of the group gets every new connection. */
export function attachClassicFilter(fd: number): void {
  attachReturnZero(fd, SO_ATTACH_REUSEPORT_CBPF);
}
