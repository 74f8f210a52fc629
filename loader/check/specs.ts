/** Whether attaching to SPECs would work, by the probes of the host and of its listeners. */
import type { Spec } from "../core/spec.ts";
import { CAN_ATTACH, type CheckOptions } from "./host.ts";
import { type Result, skipped } from "./probe.ts";
import type { SpecGroup } from "./spec_listeners.ts";

/**
 * Checks every listener that matches a SPEC; changes nothing.
 * @param host the results of {@link checkHost}
 */
export async function checkSpecs(
  specs: readonly Spec[],
  host: readonly Result[],
  options: CheckOptions = {},
): Promise<readonly SpecGroup[]> {
  if (specs.length === 0) return [];
  const isOk = (name: string) => host.some((it) => it.name === name && it.outcome === "ok");
  const missing = CAN_ATTACH.find((name) => !isOk(name));
  if (missing === undefined) {
    const { checkSpecGroups } = await import("./spec_listeners.ts");
    return checkSpecGroups(specs, isOk("bpffs") ? options : null);
  }
  return specs.map(({ text }) => ({
    spec: text,
    name: text,
    netns: null,
    results: [{ name: "listeners", use: "to attach to", required: true, ...skipped(missing) }],
  }));
}
