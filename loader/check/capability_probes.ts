/** Probes of the capabilities. */
import {
  CAPABILITIES,
  effectiveCapabilities,
  grantAdvice,
  hasCapability,
  missingCapabilities,
  OPTIONAL_CAPABILITIES,
  processText,
} from "../host/capabilities.ts";
import { type HostProbe, no, ok } from "./probe.ts";

export function capabilityProbes(): HostProbe[] {
  const missing = (name: string) =>
    missingCapabilities(effectiveCapabilities()).some((it) => it.name === name);
  return [
    ...CAPABILITIES.map(({ name, use }) => probe(name, use, true, () => !missing(name))),
    ...OPTIONAL_CAPABILITIES.map(({ name, use, bit }) =>
      probe(name, use, false, () => hasCapability(bit)),
    ),
  ];
}

function probe(
  name: HostProbe["name"],
  use: string,
  required: boolean,
  isGranted: () => boolean,
): HostProbe {
  return {
    name,
    use,
    required,
    run() {
      if (isGranted()) return ok(use);
      return no(`${processText()} lacks it (needed ${use})`, grantAdvice());
    },
  };
}
