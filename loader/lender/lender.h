/* SPDX-License-Identifier: MIT */
/*
 * Messages between a sidecar and its lender, over a SOCK_SEQPACKET socket: one request, one reply.
 * loan.ts is the twin; tests/ffi/loan.test.ts compares them.
 */
#ifndef REUSEPORT_MIGRATE_LENDER_H
#define REUSEPORT_MIGRATE_LENDER_H

#include <linux/types.h>

/* The most operations of a request, and the most bytes of a result. */
#define RM_LOAN_OPERATIONS 40
#define RM_LOAN_DATA 32

enum rm_loan_kind {
	RM_LOAN_GETSOCKOPT,    /* level, name; value: size in bytes */
	RM_LOAN_SETSOCKOPT,    /* level, name; value: an int */
	RM_LOAN_SETSOCKOPT_FD, /* level, name; the value is the descriptor sent along */
	RM_LOAN_SHUTDOWN,      /* value: how */
	RM_LOAN_PLACE,         /* into the sockmap sent along; value: its key */
	RM_LOAN_TAKE, /* a descriptor of the socket comes back: for sockets that were ours before */
	RM_LOAN_NETNS, /* of the process, without a socket; a descriptor of it comes back */
};

struct rm_loan_operation {
	__u32 kind;
	__u32 level;
	__u32 name;
	__u32 value;
};

/* The descriptor `fd` of process `pid`, if it is the socket with this cookie; 0: no socket. */
struct rm_loan_request {
	__u64 cookie;
	__u32 pid;
	__u32 fd;
	__u32 count;
	__u32 pad;
	struct rm_loan_operation operations[RM_LOAN_OPERATIONS];
};

struct rm_loan_result {
	__u32 error; /* errno, or 0 */
	__u32 length;
	__u8 data[RM_LOAN_DATA];
};

struct rm_loan_reply {
	__u32 error; /* errno; ESTALE: the descriptor is another file now */
	__u32 count;
	struct rm_loan_result results[RM_LOAN_OPERATIONS];
};

#endif
