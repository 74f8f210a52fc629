/** What becomes of a SPEC when somebody attaches: asked of the host's probes, then of its listeners. */
import type { Spec } from "../spec.ts";
import { CAN_ATTACH, type CheckOptions } from "./host.ts";
import { type Result, unknown } from "./probe.ts";

/** A group, or what else listens where a SPEC points. */
export interface Place {
  readonly spec: string;
  /** `0.0.0.0:443`, or the SPEC itself where nothing listens. */
  readonly name: string;
  /** Inode number of its network namespace; null where nothing listens. */
  readonly netns: number | null;
  readonly results: readonly Result[];
}

/**
 * Looks at every listener that the SPECs name; changes nothing.
 * @param host what {@link checkHost} found
 */
export async function checkSpecs(
  specs: readonly Spec[],
  host: readonly Result[],
  options: CheckOptions = {},
): Promise<readonly Place[]> {
  if (specs.length === 0) return [];
  const able = (name: string) => host.some((it) => it.name === name && it.outcome === "ok");
  const missing = CAN_ATTACH.find((name) => !able(name));
  if (missing === undefined) {
    const { checkPlaces } = await import("./listeners.ts");
    return checkPlaces(specs, able("bpffs") ? options : null);
  }
  const found = unknown(`wants '${missing}', which is not ok`);
  return specs.map(({ text }) => ({
    spec: text,
    name: text,
    netns: null,
    results: [{ name: "listeners", use: "to attach to", required: true, ...found }],
  }));
}
