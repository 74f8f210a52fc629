/** --except of a service: SPECs that it leaves out. Made for `:*`, the SPEC of every port. */
import { parseSpec, type Spec } from "../../loader/core/spec.ts";
import { OptionError } from "./values.ts";

export const exceptOptions = {
  except: {
    type: "string",
    requiresArg: true,
    describe: "no group of these SPECs, with commas: ':22,:6443'",
  },
} as const;

/** Returns the SPECs without what --except leaves out of them. @throws UsageError */
export function specsWithout(
  specs: readonly Spec[],
  text: string | undefined,
  label: string,
): readonly Spec[] {
  if (text === undefined) return specs;
  if (text.trim() === "") throw new OptionError(label, "requires a SPEC, such as :22");
  const except = text.split(",").map((each) => parseSpec(each.trim()));
  return specs.map((spec) => ({ ...spec, except }));
}

/** @throws OptionError for a SPEC of every port */
export function requirePorts(label: string, specs: readonly Spec[]): void {
  const every = specs.find(({ port }) => port === null);
  if (every) throw new OptionError(label, `requires a port: '${every.text}' names none`);
}
