/** Probes: the capabilities, each with what it is for. Root has all of them, unless they were taken. */
import {
  CAPABILITIES,
  effectiveCapabilities,
  missingCapabilities,
  OPTIONAL_CAPABILITIES,
} from "../host/capabilities.ts";
import { no, ok, type Probe } from "./probe.ts";

const root = () => process.geteuid?.() === 0;

export function rightsProbes(): Probe[] {
  return [
    ...CAPABILITIES.map(({ name, use }) => {
      const has = () =>
        !missingCapabilities(effectiveCapabilities()).some((it) => it.name === name);
      return capability(name, use, true, has);
    }),
    ...OPTIONAL_CAPABILITIES.map(({ name, use, bit }) => {
      const has = () => (effectiveCapabilities() & (1n << bit)) !== 0n;
      return capability(name, use, false, has);
    }),
  ];
}

function capability(name: string, use: string, required: boolean, has: () => boolean): Probe {
  return {
    name,
    use,
    required,
    run() {
      if (has()) return ok(use);
      const who = root() ? "this root process lacks it" : "not root, and without it";
      return no(`missing ${use}; ${who}`, "run it as root, or grant it");
    },
  };
}
