/** SPEC: the listen address on the command line. Pure. */

import { UsageError } from "../errors.ts";
import { canonicalIPv6, type Family, familyOf, formatEndpoint, ipv4Of } from "./address.ts";

/**
 * A listen address; without `address` it covers every address of both families, without `port` every
 * port.
 */
export interface Spec {
  /** Canonical text; it is the service's name. */
  readonly text: string;
  readonly family: Family | null;
  readonly address: string | null;
  readonly port: number | null;
  /** Addresses that it does not cover. */
  readonly except?: readonly Spec[];
}

/** The text of a SPEC that covers every port. */
const EVERY_PORT = ":*";

const FORMS = "':443', '0.0.0.0:443', '192.0.2.7:443', '[::]:443' or '[2001:db8::1]:443'";

/**
 * Parses `:PORT`, `IPV4:PORT`, `[IPV6]:PORT` or `:*`. `PORT` and `*:PORT`, as ss(8) prints it, are
 * `:PORT`.
 * @throws UsageError with the mistake and the valid forms
 */
export function parseSpec(text: string): Spec {
  const fail = (why: string): never => {
    throw new UsageError(`'${text}' is not a SPEC: ${why}; write ${FORMS}`);
  };
  const written = /^\d+$/.test(text) ? `:${text}` : text.replace(/^\*:/, ":");
  if (written === EVERY_PORT) return { text: EVERY_PORT, family: null, address: null, port: null };
  const match = /^(?:\[([^\]]*)\]|([^:[\]]*)):([^:]*)$/.exec(written);
  if (!match) {
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

/**
 * Returns whether `spec` names this local address. `0.0.0.0` names only itself; `192.0.2.7` also
 * names an IPv6 socket that is bound to it (`::ffff:192.0.2.7`).
 */
export function matchesSpec(
  spec: Spec,
  at: { readonly family: Family; readonly address: string; readonly port: number },
): boolean {
  if (spec.port !== null && spec.port !== at.port) return false;
  if (spec.except?.some((each) => matchesSpec(each, at))) return false;
  if (spec.address === null || (spec.family === at.family && spec.address === at.address))
    return true;
  return spec.family === "ipv4" && spec.address === ipv4Of(at.family, at.address);
}

/** Returns the port of a SPEC. @throws UsageError if it covers every port */
export function portOf({ text, port }: Spec): number {
  if (port !== null) return port;
  throw new UsageError(`'${text}' names no port, which is needed here; write ${FORMS}`);
}

/** Returns the ports that SPECs name; none of one that covers every port. */
export function portsOf(specs: readonly Spec[]): number[] {
  return specs.flatMap(({ port }) => port ?? []);
}
