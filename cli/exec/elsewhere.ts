/** Where a server listens that does not listen where it should: the usual mistake. Pure. */
import { endpoint, type Listener } from "../../loader/core/listener.ts";
import { matchesSpec, type Spec } from "../../loader/core/spec.ts";

export function isOn(specs: readonly Spec[], { key }: Listener): boolean {
  return specs.some((spec) => matchesSpec(spec, key));
}

/** Returns a sentence about the listeners of a server; null if one of them is on a SPEC. */
export function elsewhere(specs: readonly Spec[], listeners: readonly Listener[]): string | null {
  if (listeners.some((listener) => isOn(specs, listener))) return null;
  const wanted = specs.map(({ text }) => text).join(", ");
  const [owner] = listeners.flatMap(({ owners }) => owners);
  if (!owner) return `the server listens on no TCP port, not on ${wanted}`;
  const where = [...new Set(listeners.map(({ key }) => endpoint(key)))].join(", ");
  return `${owner.comm} (pid ${owner.pid}) listens on ${where}, not on ${wanted}`;
}
