/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * What programs report to the loader that loaded them: records of iterators, and binds. Nothing of
 * this is pinned, so it has no version.
 */
#ifndef REUSEPORT_MIGRATE_REPORTS_H
#define REUSEPORT_MIGRATE_REPORTS_H

#include <linux/types.h>

#include "layout.h"

/* Name of the helper processes that borrow listeners (loader/lender): no snapshot has them. */
#define RM_LENDER_COMM "rm-lender"
#define RM_COMM_LEN 16    /* TASK_COMM_LEN */
#define RM_BIND_BUDGET 64 /* binds reported before the loader permits more */

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
	__u8 keyed; /* TCP_MD5SIG or TCP_AO keys are set */
	__u8 pad[3];
	__u32 incoming_cpu; /* as in rm_slot */
};

/* A port that a standby has, in a network namespace (inode number). */
struct rm_standby_port {
	__u32 netns;
	__u32 port;
};

struct rm_standby_binds {
	__u32 uid; /* of the standby */
	__u32 pad;
	__u64 reported_ns;
};

/* A bind() that fails while the standby listens. */
struct rm_refused_bind {
	struct rm_standby_port port;
	__u32 pid;
	__u32 uid;
	__u8 reuseport; /* SO_REUSEPORT is set */
	__u8 pad[3];
};

/* A process, or a thread in namespaces of its own; inode numbers of its namespaces. */
struct rm_process {
	__u32 pid;
	__u32 netns;
	__u32 mntns;
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
 * The only entry of `budget`: how many binds may be reported. The loader writes `limit` and maps the
 * rest (BPF_F_MMAPABLE); the program adds to the other numbers. All of them only rise.
 */
struct rm_bind_budget {
	__u64 limit;  /* reports permitted since the start */
	__u64 taken;  /* reports since the start, and those denied at the limit to other CPUs */
	__u64 missed; /* binds since the start that were not reported */
};

RM_ASSERT_SIZE(rm_listener, 112);
RM_ASSERT_OFFSET(rm_listener, pid, 24);
RM_ASSERT_OFFSET(rm_listener, family, 60);
RM_ASSERT_OFFSET(rm_listener, addr, 72);
RM_ASSERT_OFFSET(rm_listener, comm, 88);
RM_ASSERT_SIZE(rm_iter_options, 8);
RM_ASSERT_SIZE(rm_bind_event, 8);
RM_ASSERT_SIZE(rm_bind_budget, 24);
RM_ASSERT_OFFSET(rm_bind_budget, limit, 0);

#endif
