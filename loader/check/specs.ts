/** What becomes of a SPEC when somebody attaches: asked of the host's probes, then of its listeners. */
import type { Spec } from "../core/spec.ts";
import { CAN_ATTACH, type CheckOptions } from "./host.ts";
import { type Result, unknown } from "./probe.ts";
import type { SpecGroup } from "./spec_listeners.ts";

/**
 * Looks at every listener that the SPECs name; changes nothing.
 * @param host what {@link checkHost} found
 */
export async function checkSpecs(
  specs: readonly Spec[],
  host: readonly Result[],
  options: CheckOptions = {},
): Promise<readonly SpecGroup[]> {
  if (specs.length === 0) return [];
  const able = (name: string) => host.some((it) => it.name === name && it.outcome === "ok");
  const missing = CAN_ATTACH.find((name) => !able(name));
  if (missing === undefined) {
    const { checkSpecGroups } = await import("./spec_listeners.ts");
    return checkSpecGroups(specs, able("bpffs") ? options : null);
  }
  const found = unknown(`wants '${missing}', which is not ok`);
  return specs.map(({ text }) => ({
    spec: text,
    name: text,
    netns: null,
    results: [{ name: "listeners", use: "to attach to", required: true, ...found }],
  }));
}
