/** What `status` says about requested SPECs without an attached group, and idle sidecars. Pure. */
import { formatEndpoint } from "../../loader/core/address.ts";
import { isMember, type Listener, type Owner } from "../../loader/core/listener.ts";
import { matchesSpec } from "../../loader/core/spec.ts";
import type { Status } from "../../loader/operate/status.ts";

/** The longest name in a cell: a row then has 80 columns, whatever its numbers are. */
const MAX_COMM = 13;

/** `4711 nginx +2`: the first owner, and how many other processes there are. */
export function ownersCell(owners: readonly Owner[]): string {
  const [first] = owners;
  const more = new Set(owners.map(({ pid }) => pid)).size - 1;
  if (!first) return "-";
  return `${first.pid} ${first.comm.slice(0, MAX_COMM)}${more > 0 ? ` +${more}` : ""}`;
}

/** Returns the lines about listeners that are not attached; equal ones once, with their number. */
export function unattachedText({ unattached, unmanaged }: Status): string[] {
  const counts = new Map<string, number>();
  for (const line of unmanaged.map(listenerText)) counts.set(line, (counts.get(line) ?? 0) + 1);
  const silent = unattached.filter((spec) => !unmanaged.some(({ key }) => matchesSpec(spec, key)));
  const lines = [
    ...[...counts].map(([line, count]) => (count > 1 ? `${line} (${count} listeners)` : line)),
    ...silent.map(({ text }) => `  ${text}  nothing listens`),
  ];
  return lines.length > 0 ? ["not attached", ...lines] : [];
}

function listenerText(listener: Listener): string {
  const { key, owners } = listener;
  const where = formatEndpoint(key.family, key.address, key.port);
  const lacks = isMember(listener) ? "" : ", without SO_REUSEPORT (see --adopt)";
  return `  ${where}  ${ownersCell(owners)}, netns ${key.netns}${lacks}`;
}

/** Returns a line for each sidecar that runs and manages no group. */
export function idleSidecarsText({ sidecars }: Status): string[] {
  const idle = sidecars.filter(({ groups }) => groups === 0);
  return idle.map(({ pid }) => `sidecar ${pid} runs and manages no group`);
}
