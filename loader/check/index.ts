/** The probes of `check`: an entry of its own, because it must load without libbpf. */
export { type CheckOptions, checkHost, kernelNotes, type Note } from "./host.ts";
export {
  type CheckVerdict,
  checkVerdict,
  PROBE_OUTCOMES,
  type ProbeOutcome,
  type Result,
  VERDICTS,
} from "./probe.ts";
export type { SpecGroup } from "./spec_listeners.ts";
export { checkSpecs } from "./specs.ts";
