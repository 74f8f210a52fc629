/** Status of a group: its pins and its listeners as plain data. Changes nothing. */

import type { AdoptionStatus } from "../adoption/adoption_status.ts";
import type { Migrate, Route, SettingsPolicy } from "../core/abi.ts";
import type { GroupLimits } from "../core/group_budget.ts";
import { leftMs } from "../core/hold_step.ts";
import {
  type GroupKey,
  isSelectable,
  type Listener,
  NO_QUEUES,
  type Owner,
  type Protocol,
  type QueuesByCookie,
} from "../core/listener.ts";
import { slotsNow } from "../core/plan.ts";
import type { Spec } from "../core/spec.ts";
import { chooseTargets, type Role, rolesOf } from "../core/targets.ts";
import { countsSince, type Decision, NO_COUNTS, type SlotCounts } from "../group/counters.ts";
import type { Group } from "../group/group.ts";
import type { HoldCounts } from "../group/hold_record.ts";
import { splitStandby } from "../hold/members.ts";
import type { CgroupLabels } from "../host/cgroup_label.ts";
import { differingClasses, type OptionDifference } from "../manage/option_differences.ts";
import type { KernelMigrations } from "../net/kernel_migrations.ts";
import { groupOwners } from "../observe/group_owners.ts";
import { netnsLabel } from "../observe/netns_label.ts";
import { boottimeMs } from "../sys/libc.ts";

/** A group's standby. Times: ms. */
export interface HoldStatus {
  readonly timeMs: number;
  readonly max: number;
  /** A standby listens; without a sidecar there is none. */
  readonly standby: boolean;
  /** A hold is under way; then `leftMs` is its remaining time. */
  readonly holding: boolean;
  readonly leftMs: number | null;
  /** Connections it holds. */
  readonly connections: number;
  /** Connections it ever received: new ones, and migrated ones. */
  readonly received: { readonly syn: number; readonly migrated: number };
}

export interface ListenerStatus {
  readonly cookie: bigint;
  /** An `mptcp` listener never has a slot. */
  readonly protocol: Protocol;
  /** null: it has none, and only the kernel's hash reaches it. */
  readonly slot: number | null;
  readonly generation: number | null;
  readonly role: Role | "standby";
  readonly class: number | null;
  readonly owners: readonly Owner[];
  readonly queueLength: number;
  readonly queueLimit: number;
  readonly halfOpen: number;
  /** Connections migrated away from it; 0 while it listens. */
  readonly migratedOut: number;
  /** Connections migrated to it. */
  readonly migratedInto: number;
}

export interface GroupStatus {
  readonly name: string;
  readonly service: string;
  readonly key: GroupKey;
  /** Name of its network namespace: a path, a container, a unit, or its number; null: our own. */
  readonly netnsName: string | null;
  readonly uid: number;
  /** Units, containers and pods of the processes that listen; at most eight. */
  readonly ownedBy: readonly CgroupLabels[];
  /** Our program is attached to the kernel's group; false while no process listens. */
  readonly attached: boolean;
  readonly programId: number;
  /** The program that began the counts. Another one continues them when the group grows. */
  readonly firstProgramId: number;
  readonly migrate: Migrate;
  readonly route: Route;
  readonly settings: SettingsPolicy;
  /** The socket options in which settings classes that listen now differ. */
  readonly optionDifferences: readonly OptionDifference[];
  readonly attachments: number;
  /** Pid of the sidecar that manages it; null: none. */
  readonly sidecar: number | null;
  /** The newest generation there ever was. */
  readonly generation: number;
  readonly listeners: readonly ListenerStatus[];
  readonly decisions: readonly Decision[];
  /** Wake-ups by the sidecar, on kernels that do not wake. */
  readonly wakeups: number;
  /** null: its policy has no standby. */
  readonly hold: HoldStatus | null;
  readonly holds: HoldCounts;
  /** Migrations of listeners that have closed. */
  readonly closed: { readonly out: number; readonly into: number };
  /** Nanoseconds and runs of the program, while kernel.bpf_stats_enabled is 1; else 0. */
  readonly run: { readonly timeNs: number; readonly count: number };
}

export interface Status {
  readonly groups: readonly GroupStatus[];
  readonly adoptions: readonly AdoptionStatus[];
  /** Requested SPECs that name no attached group. */
  readonly unattached: readonly Spec[];
  /** TCP listeners that match the requested SPECs and belong to no attached group. */
  readonly unmanaged: readonly Listener[];
  /** Sidecars that run with this bpf file system, and the number of groups that each manages. */
  readonly sidecars: readonly { readonly pid: number; readonly groups: number }[];
  /** The kernel's own counters by network namespace (inode number). */
  readonly kernel: ReadonlyMap<number, KernelMigrations>;
  /** What a running sidecar did not take on; absent without one. */
  readonly admission?: {
    /** Groups that a service covers and that are not attached, by the reason. */
    readonly refused: ReadonlyMap<string, number>;
    /** Most groups in all, and of one user in one network namespace. */
    readonly limits: GroupLimits;
    /** Processes that are left alone now, because a call on a listener of theirs hung. */
    readonly hung: number;
  };
  /** Binds that a running sidecar did not see one by one, as there were too many; absent without one. */
  readonly missedBinds?: number;
  /** Names of a running sidecar's services, also of those without a group; absent without one. */
  readonly services?: readonly string[];
  /** Whether the kernel leaves destinations asleep; absent unless a running sidecar tested it. */
  readonly wakeupDefect?: boolean;
  /** Why pinned groups and adoptions could not be read. */
  readonly errors: readonly string[];
}

/** What the pins of a group do not show. */
interface GroupContext {
  readonly members: readonly Listener[];
  readonly queues: QueuesByCookie;
  /** Pid of the sidecar that manages it; null: none. */
  readonly sidecar: number | null;
  /** The kernel counts the runs of programs. */
  readonly countsRuns: boolean;
}

/** Returns the status of one group, from its pinned maps and a snapshot. */
export function groupStatus(group: Group, context: GroupContext): GroupStatus {
  const { members, queues, sidecar, countsRuns } = context;
  const { record } = group;
  const records = group.slots();
  const counts = group.counts(records.length);
  const slots = records.map(({ slot }) => slot);
  const known = new Map(records.map((each) => [each.slot.cookie, each]));
  const split = splitStandby(group, members);
  const listening = new Set(split.listeners.map(({ cookie }) => cookie));
  // What a plan for these listeners would choose.
  const isComplete = split.listeners.filter(isSelectable).length <= record.slots;
  const targets = chooseTargets(slotsNow(slots, listening, boottimeMs()), record, isComplete);
  const roleOf = rolesOf(targets);
  const open = { out: 0, into: 0 };
  const listeners = members.map((member): ListenerStatus => {
    const { cookie, protocol, owners } = member;
    const { length, limit, halfOpen } = queues.get(cookie) ?? NO_QUEUES;
    const own = known.get(cookie);
    const { out, into } = own ? countsSince(counts.slotCounts(own.slot.slot), own.base) : NO_COUNTS;
    const role = own ? roleOf(own.slot) : "unknown";
    open.out += out;
    open.into += into;
    return {
      cookie,
      protocol,
      slot: own?.slot.slot ?? null,
      generation: own?.slot.generation ?? null,
      role: split.standbys.includes(member) ? "standby" : role,
      class: own?.slot.class ?? null,
      owners,
      queueLength: length,
      queueLimit: limit,
      halfOpen,
      migratedOut: out,
      migratedInto: into,
    };
  });
  const all = counts.total();
  const info = countsRuns ? group.programInfo() : null;
  return {
    name: group.name,
    service: record.service,
    key: record.key,
    netnsName: netnsLabel(record.key.netns, members[0]?.owners ?? []),
    uid: record.uid,
    ownedBy: groupOwners(members),
    attached: members.some((member) => group.isAttachedTo(member)),
    programId: group.programId,
    firstProgramId: record.firstProgram,
    migrate: record.migrate,
    route: record.route,
    settings: record.settings,
    optionDifferences: differingClasses(slots, split.listeners),
    attachments: record.attachments,
    sidecar,
    generation: Math.max(0, ...slots.map(({ generation }) => generation)),
    listeners: listeners.toSorted((a, b) => (a.slot ?? Infinity) - (b.slot ?? Infinity)),
    decisions: counts.decisions(),
    wakeups: group.moveEvents.wakeups,
    hold: holdStatus(group, context, counts.slotCounts(group.standbySlot)),
    holds: group.holdCounts,
    closed: { out: all.out - open.out, into: all.into - open.into },
    run: { timeNs: info?.runTimeNs ?? 0, count: info?.runCount ?? 0 },
  };
}

function holdStatus(group: Group, context: GroupContext, counts: SlotCounts): HoldStatus | null {
  const { hold } = group.record;
  if (!hold) return null;
  const { standby } = splitStandby(group, context.members);
  const { heldSinceMs } = group.standby;
  const holding = standby !== undefined && heldSinceMs !== null;
  return {
    ...hold,
    standby: standby !== undefined,
    holding,
    leftMs: holding ? leftMs(hold, heldSinceMs, boottimeMs()) : null,
    connections: standby ? (context.queues.get(standby.cookie)?.length ?? 0) : 0,
    received: { syn: counts.syn, migrated: counts.into },
  };
}
