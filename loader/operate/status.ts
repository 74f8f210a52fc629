/** What is pinned and what is listening, as plain data. Changes nothing. */

import type { AdoptionStatus } from "../adoption/adoption_status.ts";
import type { Migrate, Route, SettingsPolicy } from "../core/abi.ts";
import { leftMs } from "../core/hold_step.ts";
import type { GroupKey, Listener, Owner, Protocol } from "../core/listener.ts";
import { slotsNow } from "../core/plan.ts";
import { chooseTargets, type Role, roleOf } from "../core/targets.ts";
import { type Decision, NO_ROW, type Row, since } from "../group/counts.ts";
import type { Group } from "../group/group.ts";
import type { HoldCounts } from "../group/hold_record.ts";
import { splitStandby } from "../manage/members.ts";
import { differingClasses, type OptionDifference } from "../manage/option_differences.ts";
import type { KernelMigrations } from "../net/kernel_migrations.ts";
import { boottimeMs } from "../sys/libc.ts";

/** A group's standby and what it does. Times: ms. */
export interface HoldStatus {
  readonly timeMs: number;
  readonly max: number;
  /** A standby listens; without a sidecar none does. */
  readonly standby: boolean;
  /** A hold is under way; then `leftMs` is what is left of it. */
  readonly holding: boolean;
  readonly leftMs: number | null;
  /** Connections it holds. */
  readonly connections: number;
  /** What it was ever given: new connections, and ones migrated into it. */
  readonly received: { readonly syn: bigint; readonly migrated: bigint };
  readonly holds: HoldCounts;
}

export interface ListenerStatus {
  readonly cookie: bigint;
  /** An `mptcp` one has no slot, ever. */
  readonly protocol: Protocol;
  /** null while it has none: the kernel's hash covers it. */
  readonly slot: number | null;
  readonly generation: number | null;
  readonly role: Role | "standby";
  readonly class: number | null;
  readonly owners: readonly Owner[];
  readonly queueLength: number;
  readonly queueLimit: number;
  readonly halfOpen: number;
  /** Connections moved away from it by migration; 0 while it listens. */
  readonly migratedOut: bigint;
  /** Connections moved to it by migration. */
  readonly migratedInto: bigint;
}

export interface GroupStatus {
  readonly name: string;
  readonly service: string;
  readonly key: GroupKey;
  readonly uid: number;
  /** Our program is attached to the kernel's group; false while nothing listens. */
  readonly attached: boolean;
  readonly programId: number;
  readonly migrate: Migrate;
  readonly route: Route;
  readonly settings: SettingsPolicy;
  /** In what settings classes that listen now differ. */
  readonly optionDifferences: readonly OptionDifference[];
  readonly attachments: number;
  /** Pid of the sidecar that manages it, or null. */
  readonly sidecar: number | null;
  /** The newest generation there has been. */
  readonly generation: number;
  readonly listeners: readonly ListenerStatus[];
  readonly decisions: readonly Decision[];
  /** Listeners that the sidecar has woken, where the kernel does not. */
  readonly wakeups: number;
  /** null: no standby is wanted. */
  readonly hold: HoldStatus | null;
  /** Migrations of listeners that are gone. */
  readonly closed: { readonly out: bigint; readonly into: bigint };
  /** Nanoseconds and runs of the program, while kernel.bpf_stats_enabled is 1; else 0. */
  readonly run: { readonly timeNs: bigint; readonly count: bigint };
}

export interface Status {
  readonly groups: readonly GroupStatus[];
  readonly adoptions: readonly AdoptionStatus[];
  /** Groups with SO_REUSEPORT that match the SPECs asked for and are not attached. */
  readonly unmanaged: readonly Listener[];
  /** The kernel's own counts by network namespace (inode number). */
  readonly kernel: ReadonlyMap<number, KernelMigrations>;
  /** Pinned groups and adoptions that could not be read, and why. */
  readonly errors: readonly string[];
}

/**
 * Status of one group from its pinned maps and its listeners now.
 * @param sidecar pid of the one that manages it
 * @param runs the kernel counts the program's runs
 */
export function groupStatus(
  group: Group,
  members: readonly Listener[],
  sidecar: number | null,
  runs: boolean,
): GroupStatus {
  const { record } = group;
  const records = group.slots();
  const counts = group.counts(records.length);
  const slots = records.map(({ slot }) => slot);
  const known = new Map(records.map((each) => [each.slot.cookie, each]));
  const { standby, others } = splitStandby(group, members);
  const listening = new Set(others.map(({ cookie }) => cookie));
  // Who would be a target now.
  const targets = chooseTargets(slotsNow(slots, listening, boottimeMs()), record);
  const open = { out: 0, into: 0 };
  const listeners = members.map((member): ListenerStatus => {
    const { cookie, protocol, owners, queueLength, queueLimit, halfOpen } = member;
    const own = known.get(cookie);
    const { out, into } = own ? since(counts.row(own.slot.slot), own.base) : NO_ROW;
    const role = own ? roleOf(own.slot, targets) : "unknown";
    open.out += out;
    open.into += into;
    return {
      cookie,
      protocol,
      slot: own?.slot.slot ?? null,
      generation: own?.slot.generation ?? null,
      role: member === standby ? "standby" : role,
      class: own?.slot.class ?? null,
      owners,
      queueLength,
      queueLimit,
      halfOpen,
      migratedOut: out === 0 ? 0n : BigInt(out),
      migratedInto: into === 0 ? 0n : BigInt(into),
    };
  });
  const all = counts.total();
  const info = runs ? group.programInfo() : null;
  return {
    name: group.name,
    service: record.service,
    key: record.key,
    uid: record.uid,
    attached: members.some(({ programId }) => programId === group.programId),
    programId: group.programId,
    migrate: record.migrate,
    route: record.route,
    settings: record.settings,
    optionDifferences: differingClasses(slots, others),
    attachments: record.attachments,
    sidecar,
    generation: Math.max(0, ...slots.map(({ generation }) => generation)),
    listeners: listeners.toSorted((a, b) => (a.slot ?? Infinity) - (b.slot ?? Infinity)),
    decisions: counts.decisions(),
    wakeups: group.moveEvents.wakeups,
    hold: holdStatus(group, standby, counts.row(group.standbySlot)),
    closed: { out: BigInt(all.out - open.out), into: BigInt(all.into - open.into) },
    run: { timeNs: info?.runTimeNs ?? 0n, count: info?.runCount ?? 0n },
  };
}

function holdStatus(group: Group, standby: Listener | undefined, row: Row): HoldStatus | null {
  const { hold } = group.record;
  if (!hold) return null;
  const { heldSinceMs } = group.standby;
  const holding = standby !== undefined && heldSinceMs !== null;
  return {
    ...hold,
    standby: standby !== undefined,
    holding,
    leftMs: holding ? leftMs(hold, heldSinceMs, boottimeMs()) : null,
    connections: standby?.queueLength ?? 0,
    received: { syn: BigInt(row.syn), migrated: BigInt(row.into) },
    holds: group.holdCounts,
  };
}
