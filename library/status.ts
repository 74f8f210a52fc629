/** status(): pinned groups, whichever process manages them. */

import { OptionError, specs } from "../cli/options/values.ts";
import { statusJson } from "../cli/output/status_json.ts";
import type { StatusReport } from "../cli/output/status_report.ts";

/** Options of {@link status}. */
export interface StatusOptions {
  /** Only the groups of these SPECs; default: every pinned group. */
  readonly specs?: string | readonly string[];
  /** Directory on a bpf file system; default: the first one mounted. */
  readonly bpffs?: string;
}

/**
 * Reads what is attached, with or without a running sidecar: what `reuseport-migrate status --json`
 * prints. It reads the whole host at each call, and blocks the event loop meanwhile: tens of
 * milliseconds.
 *
 * @throws {@link UsageError} for a SPEC or an option
 * @throws {@link PermissionError} if the process is neither root nor has the capabilities
 * @throws {@link NotSupportedError} if the kernel, bpffs or libbpf do not suffice
 */
export async function status(options: StatusOptions = {}): Promise<StatusReport> {
  const unknown = Object.keys(options).find((name) => name !== "specs" && name !== "bpffs");
  if (unknown) throw new OptionError(`'${unknown}'`, "is not an option: write specs or bpffs");
  const which = specs([options.specs ?? []].flat());
  const { readStatus } = await import("../loader/operate/status_reader.ts");
  const { bpffs } = options;
  return statusJson(readStatus({ specs: which, ...(bpffs === undefined ? {} : { bpffs }) }));
}
