/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * The ABI between the BPF programs and the loader: every number, map key and
 * map value that both sides know. Its TypeScript twin is loader/core/abi.ts; the
 * test tests/ffi/abi.test.ts compares the two through the BTF of the built
 * object (structs) and through this text (numbers).
 *
 * Rules: fixed-width members, explicit padding, no enums, no pointers.
 * Change anything here and RM_ABI_VERSION rises.
 */
#ifndef REUSEPORT_MIGRATE_H
#define REUSEPORT_MIGRATE_H

#include <linux/types.h>

#define RM_ABI_VERSION 6

/* Limits. */
#define RM_MAX_SLOTS 1024    /* listeners one group can hold at a time */
#define RM_MAX_CLASSES 16    /* settings classes in one group; 0 is "not known" */
#define RM_TRIES 8           /* most candidates tried for one connection */
#define RM_SOURCE_TRIES 32   /* entries of `sources` that can hold one cookie */
#define RM_LINE_SLOTS 32     /* of an rm_plan_line, which is a cache line */
#define RM_FIRST_TARGETS 56  /* of rm_control.first_targets */
#define RM_CANDIDATE_LINES 3 /* lines of a plan for RM_MAX_CLASSES + 1 rm_candidates */
#define RM_HOLD_BUCKETS 10   /* of rm_hold_counts.buckets */
#define RM_OPTIONS_LEN 2032
#define RM_SERVICE_LEN 64 /* bytes of a service's name, NUL included */
#define RM_COMM_LEN 16    /* TASK_COMM_LEN */

/* Bytes of a cgroup's name (NAME_MAX + 1) and of its path, NUL included. */
#define RM_CGROUP_NAME_LEN 256
#define RM_CGROUP_PATH_LEN 1024

/* Stages: where a decision happens. */
#define RM_STAGE_SYN 0
#define RM_STAGE_ACCEPT_QUEUE 1
#define RM_STAGE_HANDSHAKE_ACK 2
#define RM_STAGE_HANDSHAKE_TIMER 3
#define RM_STAGES 4

/* Outcomes of a decision. From FALLBACK on: the reason why no target was selected. */
#define RM_OUTCOME_SELECTED 0           /* one of our targets */
#define RM_OUTCOME_KERNEL 1             /* left to the kernel's hash on purpose */
#define RM_OUTCOME_DROPPED 2            /* policy */
#define RM_OUTCOME_FALLBACK 3           /* first of the fallback outcomes */
#define RM_OUTCOME_FALLBACK_NO_TARGET 3 /* the plan has no target */
#define RM_OUTCOME_FALLBACK_SETTINGS 4  /* no target is compatible with the source */
#define RM_OUTCOME_FALLBACK_SOURCE 5    /* the closing listener was never seen alive */
#define RM_OUTCOME_FALLBACK_GONE 6      /* the targets tried had closed (ENOENT) */
#define RM_OUTCOME_FALLBACK_REFUSED 7   /* the kernel refused the target (any other errno) */
#define RM_OUTCOME_DROPPED_SETTINGS 8   /* policy: no target is compatible with the source */
#define RM_OUTCOMES 9

/* Policy for migrating connections. */
#define RM_MIGRATE_NEWEST 0
#define RM_MIGRATE_ANY 1
#define RM_MIGRATE_OFF 2
#define RM_MIGRATE_OBSERVE 3

/* Policy where no target has the settings of the source. */
#define RM_SETTINGS_PREFER 0
#define RM_SETTINGS_STRICT 1
#define RM_SETTINGS_IGNORE 2

/* Treatment of a migrating connection: `--migrate` and `--settings` combined. */
#define RM_MODE_SELECT 0 /* a target, else the kernel's hash */
#define RM_MODE_STRICT 1 /* a compatible target, else drop */
#define RM_MODE_DROP 2
#define RM_MODE_PASS 3 /* the kernel's hash */

/* rm_control.syn_count when every listener is drained: new connections are refused. */
#define RM_SYN_REFUSE 65535

/* rm_control.fast_path during a probe, with all listeners drained, or with a standby only. */
#define RM_FAST_PATH_NONE 65535

/* Policy for new connections. */
#define RM_ROUTE_KERNEL 0
#define RM_ROUTE_NEWEST 1

/*
 * A row of `migrations`. Migrations are rare and rows are large, so all CPUs share this memory and
 * add to it atomically; the loader maps it (BPF_F_MMAPABLE). Row 0 counts decisions for unknown
 * sources. Row slot + 1 counts the decisions made when the listener in that slot closed, and the
 * connections that migrated to it.
 */
struct rm_migrations {
	__u64 decisions[(RM_STAGES - 1) * RM_OUTCOMES]; /* [(stage - 1) * RM_OUTCOMES + outcome] */
	__u64 into[RM_STAGES - 1]; /* [stage - 1]: migrations this listener received */
};

/*
 * Entry of `sources`: one listener in one 64-bit word, so that readers never see half of a write:
 *   socket cookie << 16 | row of `migrations` << 4 | settings class (0: not known); 0: free
 * An entry lies at most RM_SOURCE_TRIES - 1 behind the hash of its cookie. The hash is the upper
 * half of (low 32 bits ^ high 32 bits) * RM_SOURCE_HASH.
 */
#define RM_SOURCE_COOKIE_SHIFT 16
#define RM_SOURCE_ROW_SHIFT 4
#define RM_SOURCE_HASH 2654435769 /* 2^32 by the golden ratio */

/*
 * Candidates of one settings class: consecutive slots of a plan. The preferred targets come first;
 * older generations follow in the order in which they are tried.
 */
struct rm_candidates {
	__u16 first; /* index of the first one in the plan */
	__u16 count; /* preferred targets, chosen by hash */
	__u16 total; /* all candidates, `count` included */
	__u16 pad;
};

/*
 * Entry of `plans`: one line. The map holds two plans and `control` names the active one, so a new
 * plan is written where no program looks and then activated by one write. A plan consists of
 *   RM_CANDIDATE_LINES         the candidates of each class, then those of any class
 *   slots / RM_LINE_SLOTS      targets of new connections
 *   2 * slots / RM_LINE_SLOTS  targets of migrating connections: by class, then of any class
 */
struct rm_plan_line {
	union {
		__u16 slots[RM_LINE_SLOTS];
		struct rm_candidates candidates[RM_LINE_SLOTS / 4];
	} as;
};

/*
 * `listeners` has two entries beyond the group's slots: one for the standby, one for a listener
 * under a readiness probe, which is not a target yet.
 *
 * The only entry of `control`: the state of the program, followed by the counters of new
 * connections. Everything a SYN needs thus lies on one page, at an address known to the code. The
 * loader creates this map, since its length depends on the group's slots and the host's CPUs, and
 * maps it (BPF_F_MMAPABLE). A program that reads during a write may combine numbers of both plans;
 * the result is still a listener of the group, or an empty slot.
 */
struct rm_control {
	__u16 plan;  /* index of the active plan's first line */
	__u16 probe; /* client port (host byte order) that is routed to `probe_slot`; 0: none */
	__u16 probe_slot;  /* entry in `listeners` */
	__u16 source_mask; /* entries of `sources` - 1 */
	__u8 mode;         /* RM_MODE_* */
	__u8 report_moves; /* 1: report migrations from accept queues through `move_events` */
	__u16 syn_count;   /* targets of new connections; 0: the kernel's hash; RM_SYN_REFUSE */
	__u16 standby;     /* entry in `listeners`; if set, every decision is explicit; 0: none */

	/* Read for most new connections, so side by side. */
	__u16 fast_path; /* targets to choose from; 0: the kernel's hash; RM_FAST_PATH_NONE */
	__u16 first_targets
		[RM_FIRST_TARGETS]; /* first targets of new connections; most groups have no more */

	/*
	 * One block per CPU, padded to whole cache lines so that no two CPUs write to one. In a
	 * block, index RM_OUTCOMES + slot counts new connections given to that slot; index outcome
	 * counts new connections for which no listener was selected.
	 */
	__u64 counters[];
};

/* The .rodata of the group's program: the length of `control.counters`. */
struct rm_sizes {
	__u32 counters;     /* of all CPUs */
	__u32 cpu_counters; /* of one CPU, padded to whole cache lines */
};

/* The only entry of `move_report`. */
struct rm_move_report {
	__u32 pending; /* 1 from an event in `move_events` until the loader has read it */
	__u32 pad;
	__u64 wakeups; /* listeners the loader has woken; not used by the program */
};

/* Entry of `slots`, index = slot. Written and read by the loader only. */
struct rm_slot {
	__u64 cookie;         /* socket cookie; 0: never used */
	__u64 opened_ms;      /* CLOCK_BOOTTIME */
	__u64 closed_ms;      /* CLOCK_BOOTTIME; 0: listening */
	__u64 options_digest; /* digest of the inherited socket options; 0: not known */
	__u32 generation;     /* 1.. */
	__u32 class;
	__u32 drained; /* 1: drained by command, not a target */
	__u32 pad;
	/* Counts of the slot at the time this listener took it. */
	__u64 base_syn;  /* new connections given to the slot */
	__u64 base_out;  /* migrations from it to a target */
	__u64 base_into; /* migrations to it */
};

/* The only entry of `group`: its key and policy. Written and read by the loader only. */
struct rm_group {
	__u32 abi_version;
	__u32 netns;   /* inode number of the network namespace */
	__u32 ifindex; /* SO_BINDTODEVICE; 0: none */
	__u32 uid;
	__u16 family; /* AF_INET or AF_INET6 */
	__u16 port;   /* host byte order */
	__u8 v6only;
	__u8 migrate;      /* RM_MIGRATE_* */
	__u8 route;        /* RM_ROUTE_* */
	__u8 settings;     /* RM_SETTINGS_* */
	__u8 addr[16];     /* network byte order; IPv4 in the first four */
	__u32 slots;       /* capacity: entries of `listeners` and `slots` */
	__u32 attachments; /* times the program was attached to a kernel group of this key */
	__u32 hold_ms;     /* longest hold, ms; 0: no standby */
	__u32 hold_max;    /* most connections held: the backlog of the standby */
	char service[RM_SERVICE_LEN];
};

/* The only entry of `standby`. Written and read by the loader only. */
struct rm_standby {
	__u64 cookie;                 /* socket cookie; 0: none */
	__u64 held_ms;                /* start of the current hold, CLOCK_BOOTTIME; 0: none */
	char options[RM_OPTIONS_LEN]; /* options of the group's listeners: JSON, NUL-terminated */
};

/* The only entry of `hold_counts`: holds by their end. Written and read by the loader only. */
struct rm_hold_counts {
	__u64 started;
	__u64 handed_over;
	__u64 expired;
	__u64 released;
	__u64 sum_ms;                   /* total duration of ended holds */
	__u64 buckets[RM_HOLD_BUCKETS]; /* ended holds by duration; longer ones are in no bucket */
};

/* One record of the listeners iterator: one file descriptor on one listener. */
struct rm_listener {
	__u64 cookie;
	__u64 group;    /* identity of the reuseport group in this read; 0: none */
	__u64 start_ns; /* CLOCK_BOOTTIME start of the owner process */
	__u32 pid;
	__u32 fd;
	__u32 netns; /* inode number */
	__u32 uid;
	__u32 prog_id; /* attached to the group; 0 with has_prog: classic BPF */
	__u32 ifindex;
	__u32 queue_length; /* accept queue, connections */
	__u32 queue_limit;
	__u32 half_open; /* requests in handshake */
	__u16 family;
	__u16 port;       /* host byte order */
	__u16 protocol;   /* IPPROTO_TCP, _UDP or _MPTCP */
	__u16 group_size; /* listeners in the group */
	__u8 reuseport;   /* SO_REUSEPORT was set */
	__u8 v6only;
	__u8 has_prog;
	__u8 sockarray; /* member of a REUSEPORT_SOCKARRAY, so it cannot join a sockmap */
	__u8 addr[16];  /* network byte order; IPv4 in the first four */
	char comm[RM_COMM_LEN];
};

/* The listeners iterator's .rodata. */
struct rm_iter_options {
	__u32 pidns; /* inode number of the loader's pid namespace, in which pids are reported */
	__u8 udp;    /* 1: also list bound UDP sockets */
	__u8 pad[3];
};

/* Record of the ring buffer `events`: a TCP socket was bound to a watched port. */
struct rm_bind_event {
	__u16 port; /* host byte order */
	__u16 pad;
	__u32 pid; /* caller of bind() in the loader's pid namespace; 0: outside of it */
};

/*
 * The only entry of `adoption`: the cgroup whose binds set SO_REUSEPORT. The cgroup is identified
 * by its parent and name instead of its id, because a service's cgroup is removed when the service
 * stops and created again when it starts.
 */
struct rm_adoption {
	__u32 abi_version;
	__u32 pad;
	__u64 parent; /* id (inode number) of the parent cgroup; 0: the root is adopted */
	char name[RM_CGROUP_NAME_LEN];
	char path[RM_CGROUP_PATH_LEN]; /* as in /proc/PID/cgroup; for the loader only */
};

/* Value of the adoption's `ports`, keyed by port (host byte order). */
struct rm_adopted_port {
	__u64 binds;  /* binds that set SO_REUSEPORT */
	__u64 failed; /* binds for which the kernel refused to set it */
};

#define RM_ASSERT_SIZE(type, size) _Static_assert(sizeof(struct type) == (size), "sizeof " #type)
#define RM_ASSERT_OFFSET(type, member, offset) \
	_Static_assert(__builtin_offsetof(struct type, member) == (offset), #type "." #member)

RM_ASSERT_SIZE(rm_migrations, 240);
RM_ASSERT_OFFSET(rm_migrations, into, 216);
RM_ASSERT_SIZE(rm_plan_line, 64);
RM_ASSERT_SIZE(rm_candidates, 8);
RM_ASSERT_SIZE(rm_control, 128);
RM_ASSERT_OFFSET(rm_control, mode, 8);
RM_ASSERT_OFFSET(rm_control, first_targets, 16);
RM_ASSERT_OFFSET(rm_control, counters, 128);
RM_ASSERT_SIZE(rm_sizes, 8);
RM_ASSERT_SIZE(rm_move_report, 16);
RM_ASSERT_SIZE(rm_slot, 72);
RM_ASSERT_OFFSET(rm_slot, generation, 32);
RM_ASSERT_OFFSET(rm_slot, base_syn, 48);
RM_ASSERT_SIZE(rm_group, 120);
RM_ASSERT_OFFSET(rm_group, family, 16);
RM_ASSERT_OFFSET(rm_group, addr, 24);
RM_ASSERT_OFFSET(rm_group, hold_ms, 48);
RM_ASSERT_OFFSET(rm_group, service, 56);
RM_ASSERT_SIZE(rm_standby, 2048);
RM_ASSERT_OFFSET(rm_standby, options, 16);
RM_ASSERT_SIZE(rm_hold_counts, 120);
RM_ASSERT_OFFSET(rm_hold_counts, buckets, 40);
RM_ASSERT_SIZE(rm_listener, 104);
RM_ASSERT_OFFSET(rm_listener, pid, 24);
RM_ASSERT_OFFSET(rm_listener, family, 60);
RM_ASSERT_OFFSET(rm_listener, addr, 72);
RM_ASSERT_OFFSET(rm_listener, comm, 88);
RM_ASSERT_SIZE(rm_iter_options, 8);
RM_ASSERT_SIZE(rm_bind_event, 8);
RM_ASSERT_SIZE(rm_adoption, 1296);
RM_ASSERT_OFFSET(rm_adoption, parent, 8);
RM_ASSERT_OFFSET(rm_adoption, name, 16);
RM_ASSERT_OFFSET(rm_adoption, path, 272);
RM_ASSERT_SIZE(rm_adopted_port, 16);

#endif
