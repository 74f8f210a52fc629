/**
 * Which listener the kernel would give a group's clients if the group had none: a standby would take
 * them away from it (net/ipv4/inet_hashtables.c, compute_score: the more specific address wins). Pure.
 */
import { ipv4Of } from "../core/address.ts";
import { type GroupKey, groupName, isMember, type Listener } from "../core/listener.ts";

const ANY = { ipv4: "0.0.0.0", ipv6: "::" } as const;

/** The listeners of a snapshot; they are indexed by port at the first question. */
export class OtherListeners {
  readonly #listeners: readonly Listener[];
  #byPort: ReadonlyMap<number, readonly Listener[]> | null = null;

  constructor(listeners: readonly Listener[]) {
    this.#listeners = listeners;
  }

  /**
   * Returns a listener outside the group that gets all of its clients if the group has none; null if
   * there is none.
   * @param isOurs tells standbys, which serve no client
   */
  servesInstead(key: GroupKey, isOurs: (listener: Listener) => boolean): Listener | null {
    const name = groupName(key);
    const isOther = (it: Listener) => !isMember(it) || groupName(it.key) !== name;
    this.#byPort ??= byPort(this.#listeners);
    const found = this.#byPort
      .get(key.port)
      ?.find((it) => isOther(it) && covers(it.key, key) && !isOurs(it));
    return found ?? null;
  }
}

function byPort(listeners: readonly Listener[]): Map<number, Listener[]> {
  const ports = new Map<number, Listener[]>();
  for (const listener of listeners) {
    if (listener.protocol === "udp") continue;
    const known = ports.get(listener.key.port);
    if (known) known.push(listener);
    else ports.set(listener.key.port, [listener]);
  }
  return ports;
}

/** Returns whether every client of `key` reaches a listener of `wide`. */
function covers(wide: GroupKey, key: GroupKey): boolean {
  if (wide.netns !== key.netns) return false;
  if (wide.ifindex !== 0 && wide.ifindex !== key.ifindex) return false;
  const isSame = wide.family === key.family && wide.address === key.address;
  // The same address on fewer devices, or for IPv4 too.
  if (isSame) return wide.ifindex !== key.ifindex || (key.v6only && !wide.v6only);
  const [ipv4, wideIpv4] = [ipv4Of(key.family, key.address), ipv4Of(wide.family, wide.address)];
  if (ipv4 !== null && wideIpv4 !== null) return wideIpv4 === ipv4 || wideIpv4 === ANY.ipv4;
  return wide.address === ANY.ipv6 && (ipv4 === null || !wide.v6only);
}
