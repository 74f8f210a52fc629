/** SPEC: the listen address on the command line. Pure. */

import { UsageError } from "../errors.ts";
import { canonicalIPv6, type Family, familyOf, formatEndpoint } from "./address.ts";

/** A listen address; without `address` it covers every address of both families. */
export interface Spec {
  /** Canonical text; it is the service's name. */
  readonly text: string;
  readonly family: Family | null;
  readonly address: string | null;
  readonly port: number;
}

const FORMS = "':443', '0.0.0.0:443', '192.0.2.7:443', '[::]:443' or '[2001:db8::1]:443'";

/**
 * Parses `:PORT`, `IPV4:PORT` or `[IPV6]:PORT`.
 * @throws UsageError with the mistake and the valid forms
 */
export function parseSpec(text: string): Spec {
  const fail = (why: string): never => {
    throw new UsageError(`'${text}' is not a SPEC: ${why}; write ${FORMS}`);
  };
  const match = /^(?:\[([^\]]*)\]|([^:[\]]*)):([^:]*)$/.exec(text);
  if (!match) {
    if (/^\d+$/.test(text)) return fail(`a port is written ':${text}'`);
    if (familyOf(text) === "ipv6") return fail("an IPv6 address stands in brackets, with a port");
    return fail("it is not ADDRESS:PORT");
  }
  const [, v6, v4 = "", digits = ""] = match;
  const port = /^[0-9]{1,5}$/.test(digits) ? Number(digits) : Number.NaN;
  if (!(port >= 1 && port <= 65535))
    return fail(`the port must be from 1 to 65535, not '${digits}'`);
  if (v6 !== undefined) {
    if (familyOf(v6) !== "ipv6") return fail(`'${v6}' is not an IPv6 address`);
    const address = canonicalIPv6(v6);
    return { text: formatEndpoint("ipv6", address, port), family: "ipv6", address, port };
  }
  if (v4 === "") return { text: `:${port}`, family: null, address: null, port };
  if (familyOf(v4) !== "ipv4")
    return fail(`'${v4}' is not an IPv4 address (names are not looked up)`);
  return { text: formatEndpoint("ipv4", v4, port), family: "ipv4", address: v4, port };
}

/** Returns whether `spec` names this local address; `0.0.0.0` names only itself. */
export function matchesSpec(
  spec: Spec,
  at: { readonly family: Family; readonly address: string; readonly port: number },
): boolean {
  if (spec.port !== at.port) return false;
  return spec.address === null || (spec.family === at.family && spec.address === at.address);
}
