/** What `check` asks. A second entry beside ../index.ts, as it must also work without libbpf. */
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
