/** Map values to plain data and back, by the layouts of abi.ts. Little-endian hosts (x86_64, arm64). */
import {
  ABI_VERSION,
  LAYOUT,
  MIGRATE,
  type Migrate,
  ROUTE,
  type Route,
  SERVICE_LEN,
  SETTINGS,
  type SettingsPolicy,
} from "../core/abi.ts";
import { addressBytes, type Family, formatAddress } from "../core/address.ts";
import type { GroupKey } from "../core/listener.ts";
import type { HoldPolicy, Slot } from "../core/slot.ts";
import { AF_INET, AF_INET6 } from "../sys/constants.ts";
import type { Row } from "./counts.ts";

/** The pinned record of a group: who it is and its policy. */
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

export function encodeGroup(record: GroupRecord): Buffer {
  const { size, members: at } = LAYOUT.rm_group;
  const out = Buffer.alloc(size);
  out.writeUInt32LE(ABI_VERSION, at.abi_version);
  out.writeUInt32LE(record.key.netns, at.netns);
  out.writeUInt32LE(record.key.ifindex, at.ifindex);
  out.writeUInt32LE(record.uid, at.uid);
  out.writeUInt16LE(record.key.family === "ipv4" ? AF_INET : AF_INET6, at.family);
  out.writeUInt16LE(record.key.port, at.port);
  out.writeUInt8(record.key.v6only ? 1 : 0, at.v6only);
  out.writeUInt8(MIGRATE.indexOf(record.migrate), at.migrate);
  out.writeUInt8(ROUTE.indexOf(record.route), at.route);
  out.writeUInt8(SETTINGS.indexOf(record.settings), at.settings);
  addressBytes(record.key.family, record.key.address).copy(out, at.addr);
  out.writeUInt32LE(record.slots, at.slots);
  out.writeUInt32LE(record.attachments, at.attachments);
  out.writeUInt32LE(record.hold?.timeMs ?? 0, at.hold_ms);
  out.writeUInt32LE(record.hold?.max ?? 0, at.hold_max);
  out.write(record.service, at.service, SERVICE_LEN - 1, "utf8");
  return out;
}

export function decodeGroup(value: Buffer): GroupRecord {
  const at = LAYOUT.rm_group.members;
  const family: Family = value.readUInt16LE(at.family) === AF_INET ? "ipv4" : "ipv6";
  const service = value.toString("utf8", at.service, at.service + SERVICE_LEN);
  const timeMs = value.readUInt32LE(at.hold_ms);
  return {
    abiVersion: value.readUInt32LE(at.abi_version),
    key: {
      netns: value.readUInt32LE(at.netns),
      family,
      address: formatAddress(family, value.subarray(at.addr, at.addr + 16)),
      port: value.readUInt16LE(at.port),
      ifindex: value.readUInt32LE(at.ifindex),
      v6only: value.readUInt8(at.v6only) !== 0,
    },
    uid: value.readUInt32LE(at.uid),
    migrate: MIGRATE[value.readUInt8(at.migrate)] ?? "newest",
    route: ROUTE[value.readUInt8(at.route)] ?? "kernel",
    settings: SETTINGS[value.readUInt8(at.settings)] ?? "prefer",
    slots: value.readUInt32LE(at.slots),
    attachments: value.readUInt32LE(at.attachments),
    hold: timeMs === 0 ? null : { timeMs, max: value.readUInt32LE(at.hold_max) },
    service: service.slice(0, service.indexOf("\0")),
  };
}

/** A slot, and its counts when its listener took it. */
export interface SlotRecord {
  readonly slot: Slot;
  readonly base: Row;
}

export function encodeSlot({ slot, base }: SlotRecord): Buffer {
  const { size, members: at } = LAYOUT.rm_slot;
  const out = Buffer.alloc(size);
  out.writeBigUInt64LE(slot.cookie, at.cookie);
  out.writeBigUInt64LE(BigInt(slot.openedMs), at.opened_ms);
  out.writeBigUInt64LE(BigInt(slot.closedMs ?? 0), at.closed_ms);
  out.writeBigUInt64LE(slot.optionsDigest, at.options_digest);
  out.writeUInt32LE(slot.generation, at.generation);
  out.writeUInt32LE(slot.class, at.class);
  out.writeUInt32LE(slot.drained ? 1 : 0, at.drained);
  out.writeBigUInt64LE(BigInt(base.syn), at.base_syn);
  out.writeBigUInt64LE(BigInt(base.out), at.base_out);
  out.writeBigUInt64LE(BigInt(base.into), at.base_into);
  return out;
}

/** The record at index `number` of the whole `slots` map, or null if it was never used. */
export function decodeSlot(values: Buffer, number: number): SlotRecord | null {
  const { size, members: at } = LAYOUT.rm_slot;
  const value = values.subarray(number * size, (number + 1) * size);
  const cookie = value.readBigUInt64LE(at.cookie);
  if (cookie === 0n) return null;
  const closed = Number(value.readBigUInt64LE(at.closed_ms));
  return {
    slot: {
      slot: number,
      cookie,
      openedMs: Number(value.readBigUInt64LE(at.opened_ms)),
      closedMs: closed === 0 ? null : closed,
      optionsDigest: value.readBigUInt64LE(at.options_digest),
      generation: value.readUInt32LE(at.generation),
      class: value.readUInt32LE(at.class),
      drained: value.readUInt32LE(at.drained) !== 0,
    },
    base: {
      syn: Number(value.readBigUInt64LE(at.base_syn)),
      out: Number(value.readBigUInt64LE(at.base_out)),
      into: Number(value.readBigUInt64LE(at.base_into)),
    },
  };
}
