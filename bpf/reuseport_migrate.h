/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * What the program of a group and the loader both know: numbers, and values of pinned maps. Change
 * anything here and RM_ABI_VERSION rises.
 *
 * Like records.h and reports.h it has a TypeScript twin, loader/core/abi.ts; tests/ffi/abi.test.ts
 * compares them through the BTF of the built objects (structs) and through this text (numbers).
 * Rules: fixed-width members, explicit padding, no enums, no pointers.
 */
#ifndef REUSEPORT_MIGRATE_H
#define REUSEPORT_MIGRATE_H

#include <linux/types.h>

#include "layout.h"

#define RM_ABI_VERSION 9

/* Limits. */
#define RM_MAX_SLOTS 1024    /* listeners one group can hold at a time */
#define RM_MAX_CLASSES 16    /* settings classes in one group; 0 is "not known" */
#define RM_TRIES 8           /* most candidates tried for one connection */
#define RM_SOURCE_TRIES 32   /* entries of `sources` that can hold one cookie */
#define RM_LINE_SLOTS 32     /* of an rm_plan_line, which is a cache line */
#define RM_LINE_CPUS 16      /* rm_cpu_targets of an rm_plan_line */
#define RM_FIRST_TARGETS 56  /* of rm_control.first_targets */
#define RM_CANDIDATE_LINES 3 /* lines of a plan for RM_MAX_CLASSES + 1 rm_candidates */

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

/*
 * rm_control.fast_path during a probe, with all listeners drained, with a standby only, or with
 * targets that prefer a CPU.
 */
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

/* Targets of new connections that prefer one CPU (SO_INCOMING_CPU). */
struct rm_cpu_targets {
	__u16 first; /* index of the first one in the plan */
	__u16 count; /* 0: none prefers it */
};

/*
 * Entry of `plans`: one line. The map holds two plans and `control` names the active one, so a new
 * plan is written where no program looks and then activated by one write. A plan consists of
 *   RM_CANDIDATE_LINES         the candidates of each class, then those of any class
 *   slots / RM_LINE_SLOTS      targets of new connections
 *   2 * slots / RM_LINE_SLOTS  targets of migrating connections: by class, then of any class
 *   CPUs / RM_LINE_CPUS        targets of new connections that prefer each CPU
 */
struct rm_plan_line {
	union {
		__u16 slots[RM_LINE_SLOTS];
		struct rm_candidates candidates[RM_LINE_SLOTS / 4];
		struct rm_cpu_targets cpus[RM_LINE_CPUS];
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
	 * counts new connections for which no listener was selected. The last one of a block counts
	 * those from the client port `probe`, which are no client's. One more block, to which no
	 * CPU writes, has the counts of the programs that this one has replaced.
	 */
	__u64 counters[];
};

/* The .rodata of the group's program: the length of `control.counters`. */
struct rm_sizes {
	__u32 counters;     /* of all CPUs; the block of replaced programs comes after them */
	__u32 cpu_counters; /* of one CPU, padded to whole cache lines */
	__u32 cpu_line;     /* line of a plan with the rm_cpu_targets of the first CPUs */
};

/* The only entry of `move_report`. */
struct rm_move_report {
	__u32 pending; /* 1 from an event in `move_events` until the loader has read it */
	__u32 pad;
	__u64 wakeups; /* listeners the loader has woken; not used by the program */
};

RM_ASSERT_SIZE(rm_migrations, 240);
RM_ASSERT_OFFSET(rm_migrations, into, 216);
RM_ASSERT_SIZE(rm_plan_line, 64);
RM_ASSERT_SIZE(rm_candidates, 8);
RM_ASSERT_SIZE(rm_cpu_targets, 4);
RM_ASSERT_SIZE(rm_control, 128);
RM_ASSERT_OFFSET(rm_control, mode, 8);
RM_ASSERT_OFFSET(rm_control, first_targets, 16);
RM_ASSERT_OFFSET(rm_control, counters, 128);
RM_ASSERT_SIZE(rm_sizes, 12);
RM_ASSERT_SIZE(rm_move_report, 16);

#endif
