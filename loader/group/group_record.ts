/** The pinned record of a group: its key and its policy. Pure. */
import { ABI_VERSION, LAYOUT, type Migrate, type Route, type SettingsPolicy } from "../core/abi.ts";
import { addressBytes, formatAddress } from "../core/address.ts";
import type { GroupKey, GroupMatch } from "../core/listener.ts";
import { capacityFor } from "../core/plan.ts";
import type { HoldPolicy, Policy } from "../core/slot.ts";
import { AF_INET, AF_INET6 } from "../sys/constants.ts";

export interface GroupRecord {
  readonly abiVersion: number;
  readonly key: GroupKey;
  readonly uid: number;
  readonly migrate: Migrate;
  readonly route: Route;
  readonly settings: SettingsPolicy;
  /** Capacity of the group's maps. */
  readonly slots: number;
  /** Times the program was attached to a kernel group of this key. */
  readonly attachments: number;
  /** null: no standby. */
  readonly hold: HoldPolicy | null;
  readonly service: string;
}

/** Returns the part of a policy that is pinned. */
export function recorded({ migrate, route, settings = "prefer", hold = null }: Policy) {
  return { migrate, route, settings, hold };
}

/** Returns the record of a group that was not pinned before. */
export function newRecord({ members, service }: GroupMatch, policy: Policy): GroupRecord {
  const [first] = members;
  if (!first) throw new Error("a group has a listener");
  const { key, uid } = first;
  const slots = capacityFor(members.length);
  return { abiVersion: 0, key, uid, ...recorded(policy), slots, attachments: 0, service };
}

export function encodeGroup({ key, hold, ...record }: GroupRecord): Buffer {
  const { family, address, ...rest } = key;
  return LAYOUT.rm_group.encode({
    ...record,
    ...rest,
    abi_version: ABI_VERSION,
    family: family === "ipv4" ? AF_INET : AF_INET6,
    addr: addressBytes(family, address),
    hold_ms: hold?.timeMs ?? 0,
    hold_max: hold?.max ?? 0,
  });
}

/** @param value null: nothing is pinned, which gives a record of zeros */
export function decodeGroup(value: Buffer | null): GroupRecord {
  const record = LAYOUT.rm_group.decode(value);
  const { netns, port, ifindex, v6only, addr, hold_ms: timeMs, hold_max: max } = record;
  const { uid, migrate, route, settings, slots, attachments, service } = record;
  const family = record.family === AF_INET ? "ipv4" : "ipv6";
  return {
    abiVersion: record.abi_version,
    key: { netns, family, address: formatAddress(family, addr), port, ifindex, v6only },
    uid,
    migrate,
    route,
    settings,
    slots,
    attachments,
    hold: timeMs === 0 ? null : { timeMs, max },
    service,
  };
}
