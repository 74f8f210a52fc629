/** The shape of `status --json`, which the library's status() returns too. */
import type { Migrate, Route, SettingsPolicy, Stage } from "../../loader/core/abi.ts";
import type { Family } from "../../loader/core/address.ts";
import type { Protocol } from "../../loader/core/listener.ts";
import type { Role } from "../../loader/core/targets.ts";
import type { Decision } from "../../loader/group/counters.ts";

/** A process that holds a listener. */
export interface OwnerReport {
  readonly pid: number;
  /** Its file descriptor. */
  readonly fd: number;
  /** Its name, as ps(1) prints it; at most 15 bytes. */
  readonly comm: string;
}

/** What the program has decided about connections, by stage and outcome, since it was pinned. */
export interface DecisionReport {
  /** Where it happened: `syn` is a new connection, the others are migrations. */
  readonly stage: Stage;
  /** A listener was `selected`, the `kernel` chose by its hash, or the connection was `dropped`. */
  readonly outcome: Decision["outcome"];
  /** Why the outcome is a fallback, or a drop that is not the policy's. */
  readonly reason?: Decision["reason"];
  /** Decisions. */
  readonly count: number;
  /** Decisions a second since the last line; only with `--watch`. */
  readonly per_second?: number | null;
}

/** One listening socket of a group. */
export interface ListenerReport {
  /** The kernel's number of the socket: 64 bits, in decimal. */
  readonly cookie: string;
  readonly protocol: Protocol;
  /** Its place in the group; null: it has none, so only the kernel's hash reaches it. */
  readonly slot: number | null;
  /** Which start of the server opened it; null: it has no slot. */
  readonly generation: number | null;
  /**
   * `target`: can be selected; `draining`: not, by command; `superseded`: not, as a newer generation
   * is; `unknown`: has no slot; `standby`: the sidecar's own, which holds connections.
   */
  readonly role: Role | "standby";
  /** Listeners of one number have equal socket options; null: it has no slot. */
  readonly class: number | null;
  readonly owners: readonly OwnerReport[];
  /** Connections in its accept queue, and the most that fit. */
  readonly queue_length: number;
  readonly queue_limit: number;
  /** Handshakes under way. */
  readonly half_open: number;
  /** Connections that migrated away from it, and to it. */
  readonly migrated_out: number;
  readonly migrated_into: number;
}

/** A group's standby, which holds connections while no server listens. */
export interface HoldReport {
  /** The longest hold, ms. */
  readonly time_ms: number;
  /** The most connections that are held. */
  readonly max: number;
  /** A standby listens now. */
  readonly standby: boolean;
  /** Connections are held now; then `left_ms` is the time that remains, else null. */
  readonly holding: boolean;
  readonly left_ms: number | null;
  /** Connections held now. */
  readonly connections: number;
  /** New, and migrated, connections that standbys have received. */
  readonly received_syn: number;
  readonly received_migrated: number;
}

/** Holds since the group was pinned, by how they ended, and what became of their connections. */
export interface HoldsReport {
  readonly started: number;
  readonly handed_over: number;
  readonly expired: number;
  readonly released: number;
  readonly connections: { readonly handed_over: number; readonly reset: number };
}

/** The identity of a group: the listeners that share one address in one network namespace. */
export interface GroupIdentity {
  /** The name of its directory on the bpf file system. */
  readonly name: string;
  /** Its service: the SPEC or the name in a config file. */
  readonly service: string;
  /** Inode number of the network namespace. */
  readonly netns: number;
  /** The namespace by its path, container or unit; null: that of the reader. */
  readonly netns_name: string | null;
  readonly family: Family;
  readonly address: string;
  readonly port: number;
}

/** An attached group. Counts are since it was pinned. */
export interface GroupReport extends GroupIdentity {
  /** User of the listeners. */
  readonly uid: number;
  /** The program is attached; false while no process listens. */
  readonly attached: boolean;
  /** The kernel's number of the program. */
  readonly program_id: number;
  readonly migrate: Migrate;
  readonly route: Route;
  readonly settings: SettingsPolicy;
  /** Socket options in which listeners differ, for each pair of classes. */
  readonly option_differences: readonly {
    readonly classes: readonly [number, number];
    readonly names: readonly string[];
  }[];
  /** Times that the sidecar woke a destination. */
  readonly wakeups: number;
  /** Times that the program was attached. */
  readonly attachments: number;
  /** null: the policy has no `hold`. */
  readonly hold: HoldReport | null;
  readonly holds: HoldsReport;
  /** Pid of the sidecar that manages it; null: none, the program goes on alone. */
  readonly sidecar_pid: number | null;
  /** The newest generation so far. */
  readonly generation: number;
  readonly listeners: readonly ListenerReport[];
  readonly decisions: readonly DecisionReport[];
  /** Migrations from and to listeners that have closed. */
  readonly closed_listeners: { readonly migrated_out: number; readonly migrated_into: number };
}

/** A cgroup whose binds set SO_REUSEPORT (`adopt`). */
export interface AdoptionReport {
  readonly cgroup: string;
  /** Its programs are linked to the cgroup. */
  readonly in_force: boolean;
  /** Binds that set the option, and binds in which that failed, by port. */
  readonly ports: readonly {
    readonly port: number;
    readonly binds: number;
    readonly failed: number;
  }[];
}

/** A TCP listener that matches a SPEC and belongs to no attached group. */
export interface UnmanagedReport {
  readonly cookie: string;
  readonly netns: number;
  readonly family: Family;
  readonly address: string;
  readonly port: number;
  /** SO_REUSEPORT was set before it was bound. */
  readonly reuseport: boolean;
  readonly owners: readonly OwnerReport[];
}

/** What is attached, and what it has done. */
export interface StatusReport {
  readonly groups: readonly GroupReport[];
  readonly adoptions: readonly AdoptionReport[];
  /** Requested SPECs that cover no attached group. */
  readonly unattached: readonly string[];
  /** Running sidecars that use this bpf file system, and how many groups each manages. */
  readonly sidecars: readonly { readonly pid: number; readonly groups: number }[];
  readonly unmanaged: readonly UnmanagedReport[];
  /** Why a pinned group or adoption could not be read: one sentence each. */
  readonly errors: readonly string[];
}
