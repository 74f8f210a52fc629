/** The pinned record of a group: its key and its policy. Pure. */
import { ABI_VERSION, LAYOUT, type Migrate, type Route, type SettingsPolicy } from "../core/abi.ts";
import { addressBytes, formatAddress } from "../core/address.ts";
import { type GroupKey, type GroupMatch, groupName } from "../core/listener.ts";
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
  /** Id of the group's first program, which began the counts; 0: not loaded yet. */
  readonly firstProgram: number;
  /** Id of the program before the last growth, which may still be attached; 0: none. */
  readonly replacedProgram: number;
  /** null: no standby. */
  readonly hold: HoldPolicy | null;
  readonly service: string;
}

/** The counter stops at the largest number of its field. */
const MAX_ATTACHMENTS = 2 ** 32 - 1;

/** Returns the part of a policy that is pinned. */
export function recorded({ migrate, route, settings = "prefer", hold = null }: Policy) {
  return { migrate, route, settings, hold };
}

/** The part of a record that is known later. */
export const NOT_LOADED = { abiVersion: 0, attachments: 0, firstProgram: 0, replacedProgram: 0 };

/** Returns the record of a group that was not pinned before. */
export function newRecord({ members, service }: GroupMatch, policy: Policy): GroupRecord {
  const [first] = members;
  if (!first) throw new Error("a group has a listener");
  const { key, uid } = first;
  const slots = capacityFor(members.length);
  return { ...NOT_LOADED, key, uid, ...recorded(policy), slots, service };
}

export function encodeGroup({ key, hold, ...record }: GroupRecord): Buffer {
  const { family, address, ...rest } = key;
  return LAYOUT.rm_group.encode({
    ...record,
    ...rest,
    abi_version: ABI_VERSION,
    first_program: record.firstProgram,
    replaced_program: record.replacedProgram,
    family: family === "ipv4" ? AF_INET : AF_INET6,
    addr: addressBytes(family, address),
    attachments: Math.min(record.attachments, MAX_ATTACHMENTS),
    hold_ms: hold?.timeMs ?? 0,
    hold_max: hold?.max ?? 0,
  });
}

/** Returns the difference of an ABI version to this one, or null. */
export function differenceOf(abiVersion: number): string | null {
  return abiVersion === ABI_VERSION ? null : `pinned by ABI ${abiVersion}, not ${ABI_VERSION}`;
}

/** Returns one phrase for each way in which a record is not that of the group called `name`. */
export function differencesOf(record: GroupRecord, name: string, slots: number): string[] {
  const { abiVersion, key } = record;
  const version = differenceOf(abiVersion);
  if (version !== null) return [version];
  return [
    ...(groupName(key) === name ? [] : [`its record is of the group ${groupName(key)}`]),
    ...(record.slots === slots ? [] : [`its record has ${record.slots} slots, not ${slots}`]),
  ];
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
    firstProgram: record.first_program,
    replacedProgram: record.replaced_program,
    hold: timeMs === 0 ? null : { timeMs, max },
    service,
  };
}
