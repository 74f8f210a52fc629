/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * Pinned records: values of maps that describe a group or an adoption. They are append-only: members
 * are added at the end only, because other versions read them (docs/UPGRADE.md). Changes raise
 * RM_ABI_VERSION.
 */
#ifndef REUSEPORT_MIGRATE_RECORDS_H
#define REUSEPORT_MIGRATE_RECORDS_H

#include <linux/types.h>

#include "layout.h"

#define RM_HOLD_BUCKETS 10 /* of rm_hold_counts.buckets */
#define RM_OPTIONS_LEN 2032
#define RM_EVENT_LEN 992  /* bytes of an event's JSON, NUL included */
#define RM_SERVICE_LEN 64 /* bytes of a service's name, NUL included */

/* Bytes of a cgroup's name (NAME_MAX + 1) and of its path, NUL included. */
#define RM_CGROUP_NAME_LEN 256
#define RM_CGROUP_PATH_LEN 1024

/* Entry of `slots`, index = slot. Append-only; of the loader only. */
struct rm_slot {
	__u64 cookie;         /* socket cookie; 0: never used */
	__u64 opened_ms;      /* CLOCK_BOOTTIME */
	__u64 closed_ms;      /* CLOCK_BOOTTIME; 0: listening */
	__u64 options_digest; /* digest of the inherited socket options; 0: not known */
	__u32 generation;     /* 1.. */
	__u32 class;
	__u32 drained;      /* 1: drained by command, not a target */
	__u32 incoming_cpu; /* CPU it prefers (SO_INCOMING_CPU) + 1; 0: none */
	/* Counts of the slot at the time this listener took it. */
	__u64 base_syn;  /* new connections given to the slot */
	__u64 base_out;  /* migrations from it to a target */
	__u64 base_into; /* migrations to it */
};

/* The only entry of `group`: its key and policy. Append-only; of the loader only. */
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
	/*
	 * A group that needs more slots gets another program with larger maps, which continues the
	 * counts. The ids of the first one, and of the last one that was replaced (0: none): if a
	 * sidecar was killed meanwhile, that one is still attached.
	 */
	__u32 first_program;
	__u32 replaced_program;
	__u32 hold_ms;  /* longest hold, ms; 0: no standby */
	__u32 hold_max; /* most connections held: the backlog of the standby */
	char service[RM_SERVICE_LEN];
};

/* The only entry of `standby`. Append-only; of the loader only. */
struct rm_standby {
	__u64 cookie;                 /* socket cookie; 0: none */
	__u64 held_ms;                /* start of the current hold, CLOCK_BOOTTIME; 0: none */
	char options[RM_OPTIONS_LEN]; /* options of the group's listeners: JSON, NUL-terminated */
};

/* The only entry of `hold_counts`: holds by their end. Append-only; of the loader only. */
struct rm_hold_counts {
	__u64 started;
	__u64 handed_over;
	__u64 expired;
	__u64 released;
	__u64 sum_ms;                   /* total duration of ended holds */
	__u64 buckets[RM_HOLD_BUCKETS]; /* ended holds by duration; longer ones are in no bucket */
	/* Connections and handshakes of standbys that closed: they migrated, or were reset. */
	__u64 connections_handed_over;
	__u64 connections_reset;
};

/*
 * The only entry of `adoption`: the cgroup whose binds set SO_REUSEPORT. The cgroup is identified
 * by its parent and name instead of its id, because a service's cgroup is removed when the service
 * stops and created again when it starts. Append-only.
 */
struct rm_adoption {
	__u32 abi_version;
	__u32 pad;
	__u64 parent; /* id (inode number) of the parent cgroup; 0: the root is adopted */
	char name[RM_CGROUP_NAME_LEN];
	char path[RM_CGROUP_PATH_LEN]; /* as in /proc/PID/cgroup; for the loader only */
};

/* Value of the adoption's `ports`, keyed by port (host byte order). Append-only. */
struct rm_adopted_port {
	__u64 binds;  /* binds that set SO_REUSEPORT */
	__u64 failed; /* binds for which the kernel refused to set it */
};

#define RM_LEVEL_INFO 0
#define RM_LEVEL_WARN 1
#define RM_LEVEL_ERROR 2

/*
 * Entry 1 and up of `events`: a line of a log, of any sidecar with this pin tree. An entry is written
 * anew after all others were; of the loader only. Append-only before `json`.
 */
struct rm_event {
	__u64 id;                /* 1..; 0: never written. The entry is (id - 1) % entries */
	__u64 time_ms;           /* CLOCK_REALTIME */
	__u32 pid;               /* of the sidecar */
	__u32 level;             /* RM_LEVEL_* */
	char json[RM_EVENT_LEN]; /* event, text and fields */
	__u64 same_id;           /* as `id`, or the entry is being written */
};

/* Entry 0 of `events`. */
struct rm_event_count {
	__u64 count; /* events so far: the last one's id */
};

RM_ASSERT_SIZE(rm_event, 1024);
RM_ASSERT_OFFSET(rm_event, json, 24);
RM_ASSERT_SIZE(rm_event_count, 8);
RM_ASSERT_SIZE(rm_slot, 72);
RM_ASSERT_OFFSET(rm_slot, generation, 32);
RM_ASSERT_OFFSET(rm_slot, base_syn, 48);
RM_ASSERT_SIZE(rm_group, 128);
RM_ASSERT_OFFSET(rm_group, family, 16);
RM_ASSERT_OFFSET(rm_group, addr, 24);
RM_ASSERT_OFFSET(rm_group, first_program, 48);
RM_ASSERT_OFFSET(rm_group, hold_ms, 56);
RM_ASSERT_OFFSET(rm_group, service, 64);
RM_ASSERT_SIZE(rm_standby, 2048);
RM_ASSERT_OFFSET(rm_standby, options, 16);
RM_ASSERT_SIZE(rm_hold_counts, 136);
RM_ASSERT_OFFSET(rm_hold_counts, buckets, 40);
RM_ASSERT_SIZE(rm_adoption, 1296);
RM_ASSERT_OFFSET(rm_adoption, parent, 8);
RM_ASSERT_OFFSET(rm_adoption, name, 16);
RM_ASSERT_OFFSET(rm_adoption, path, 272);
RM_ASSERT_SIZE(rm_adopted_port, 16);

#endif
