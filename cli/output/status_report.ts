/** The shape of `status --json`, which the library's status() returns too. */
import type { Migrate, Route, SettingsPolicy, Stage } from "../../loader/core/abi.ts";
import type { Decision } from "../../loader/group/counters.ts";

/** A process that holds a listener. */
export interface OwnerReport {
  /** Its number. */
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
  /** A program cannot select an `mptcp` listener. */
  readonly protocol: "tcp" | "mptcp" | "udp";
  /** Its place in the group; null: it has none, so only the kernel's hash reaches it. */
  readonly slot: number | null;
  /** Which start of the server opened it; null: it has no slot. */
  readonly generation: number | null;
  /**
   * `target`: can be selected; `draining`: not, by command; `superseded`: not, as a newer generation
   * is; `unknown`: has no slot; `standby`: the sidecar's own, which holds connections.
   */
  readonly role: "target" | "draining" | "superseded" | "unknown" | "standby";
  /** Listeners of one number have equal socket options; null: it has no slot. */
  readonly class: number | null;
  /** The processes that hold it. */
  readonly owners: readonly OwnerReport[];
  /** Connections in its accept queue. */
  readonly queue_length: number;
  /** The most that fit into it. */
  readonly queue_limit: number;
  /** Handshakes under way. */
  readonly half_open: number;
  /** Connections that migrated away from it. */
  readonly migrated_out: number;
  /** Connections that migrated to it. */
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
  /** Connections are held now. */
  readonly holding: boolean;
  /** The time that remains of this hold, ms; null: there is none. */
  readonly left_ms: number | null;
  /** Connections held now. */
  readonly connections: number;
  /** New connections that standbys have received. */
  readonly received_syn: number;
  /** Connections that migrated to standbys. */
  readonly received_migrated: number;
}

/** Holds since the group was pinned, by how they ended, and what became of their connections. */
export interface HoldsReport {
  /** Holds that began. */
  readonly started: number;
  /** Holds that ended because a server listened again. */
  readonly handed_over: number;
  /** Holds that ended because none did in time. */
  readonly expired: number;
  /** Holds that a command ended. */
  readonly released: number;
  /** Held connections, by what became of them. */
  readonly connections: {
    /** A server got them. */
    readonly handed_over: number;
    /** They were reset. */
    readonly reset: number;
  };
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
  /** Of the address. */
  readonly family: "ipv4" | "ipv6";
  /** Without brackets: `0.0.0.0`, `::`. */
  readonly address: string;
  /** 1 to 65535. */
  readonly port: number;
}

/** An attached group. Counts are since it was pinned. */
export interface GroupReport extends GroupIdentity {
  /** User of the listeners. */
  readonly uid: number;
  /** What the cgroups of the listeners' processes say: at most 8. */
  readonly owned_by: readonly {
    /** Unit of systemd. */
    readonly unit: string | null;
    /** Id or name of the container. */
    readonly container: string | null;
    /** Uid of the Kubernetes pod. */
    readonly pod: string | null;
  }[];
  /** The program is attached; false while no process listens. */
  readonly attached: boolean;
  /** The kernel's number of the program. */
  readonly program_id: number;
  /** Where a closing listener's connections go. */
  readonly migrate: Migrate;
  /** Where new connections go. */
  readonly route: Route;
  /** Whether destinations may have other socket options. */
  readonly settings: SettingsPolicy;
  /** Socket options in which listeners differ, for each pair of classes. */
  readonly option_differences: readonly {
    /** As in {@link ListenerReport}; the lower number first. */
    readonly classes: readonly [number, number];
    /** Names of setsockopt(2), such as `TCP_NODELAY`. */
    readonly names: readonly string[];
  }[];
  /** Times that the sidecar woke a destination. */
  readonly wakeups: number;
  /** Times that the program was attached. */
  readonly attachments: number;
  /** null: the policy has no `hold`. */
  readonly hold: HoldReport | null;
  /** What its holds came to. */
  readonly holds: HoldsReport;
  /** Pid of the sidecar that manages it; null: none, the program goes on alone. */
  readonly sidecar_pid: number | null;
  /** The newest generation so far. */
  readonly generation: number;
  /** Its listeners now, by slot. */
  readonly listeners: readonly ListenerReport[];
  /** What was decided. */
  readonly decisions: readonly DecisionReport[];
  /** The counts of listeners that have closed. */
  readonly closed_listeners: {
    /** Connections that migrated away from them. */
    readonly migrated_out: number;
    /** Connections that migrated to them. */
    readonly migrated_into: number;
  };
}

/** A cgroup whose binds set SO_REUSEPORT (`adopt`). */
export interface AdoptionReport {
  /** As in /proc/PID/cgroup. */
  readonly cgroup: string;
  /** Its programs are linked to the cgroup. */
  readonly in_force: boolean;
  /** Counts by port. */
  readonly ports: readonly {
    /** 1 to 65535. */
    readonly port: number;
    /** Binds that set the option. */
    readonly binds: number;
    /** Binds in which that failed. */
    readonly failed: number;
  }[];
}

/** A TCP listener that matches a SPEC and belongs to no attached group. */
export interface UnmanagedReport {
  /** As in {@link ListenerReport}. */
  readonly cookie: string;
  /** As in {@link GroupIdentity}. */
  readonly netns: number;
  /** Of the address. */
  readonly family: "ipv4" | "ipv6";
  /** As in {@link GroupIdentity}. */
  readonly address: string;
  /** 1 to 65535. */
  readonly port: number;
  /** SO_REUSEPORT was set before it was bound. */
  readonly reuseport: boolean;
  /** The processes that hold it. */
  readonly owners: readonly OwnerReport[];
}

/** What is attached, and what it has done. */
export interface StatusReport {
  /** Pinned groups, those without a listener included. */
  readonly groups: readonly GroupReport[];
  /** Cgroups with `adopt`. */
  readonly adoptions: readonly AdoptionReport[];
  /** Requested SPECs that cover no attached group. */
  readonly unattached: readonly string[];
  /** Running sidecars that use this bpf file system. */
  readonly sidecars: readonly {
    /** Its process. */
    readonly pid: number;
    /** How many groups it manages. */
    readonly groups: number;
  }[];
  /** Listeners of the requested SPECs that are not attached. */
  readonly unmanaged: readonly UnmanagedReport[];
  /** Why a pinned group or adoption could not be read: one sentence each. */
  readonly errors: readonly string[];
}
