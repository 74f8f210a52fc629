/* SPDX-License-Identifier: MIT */
/*
 * Messages from a sidecar to its keeper, over a SOCK_SEQPACKET socket; each is answered by an errno
 * (__u32). kept.ts is the twin; tests/ffi/kept.test.ts compares them. Frozen, as the name is: the
 * other side may be of another version (docs/UPGRADE.md).
 */
#ifndef REUSEPORT_MIGRATE_KEEPER_H
#define REUSEPORT_MIGRATE_KEEPER_H

#include <linux/types.h>

/* Name of the process (comm), by which a successor recognises it. */
#define RM_KEEPER_COMM "rm-keeper"

enum rm_keep_kind {
	RM_KEEP,      /* the descriptor that is sent along */
	RM_KEEP_DROP, /* close it */
};

struct rm_keep_request {
	__u64 cookie; /* of the socket */
	__u32 kind;
	__u32 patience_ms; /* how long it is kept once the sidecar is gone */
};

#endif
