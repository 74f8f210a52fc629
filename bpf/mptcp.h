/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * Detects connections that speak MPTCP with an MPTCP listener. They are not migrated: the kernel
 * resets those in the accept queue before it asks (some kernels ask about the dead connection), and
 * cloning a half-open one for another listener trips a WARN over its token (net/mptcp/subflow.c,
 * token.c). Nearly all clients of an MPTCP listener speak plain TCP; their connections migrate both
 * ways.
 */
#ifndef RM_MPTCP_H
#define RM_MPTCP_H

#include <linux/bpf.h>
#include <linux/in6.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>

#include "kernel_types.h"

#define TCP_NEW_SYN_RECV 12 /* BPF_TCP_NEW_SYN_RECV, uapi/linux/bpf.h */

/*
 * @state: that of `migrating`
 * The verifier allows no arithmetic on the address of `migrating`; a spilled copy is a mere number.
 */
static __always_inline int speaks_mptcp(struct bpf_sock *migrating, __u32 state)
{
	struct bpf_sock *volatile spilled = migrating;
	const struct mptcp_subflow_request_sock *subflow = 0;
	const struct tcp_request_sock *request = 0;
	const struct tcp_sock *tcp = 0;
	const void *address = 0;

	if (!bpf_core_field_exists(tcp->is_mptcp) ||
	    bpf_probe_read_kernel(&address, sizeof(address), (const void *)&spilled))
		return 0;
	tcp = address;
	request = address;
	subflow = address;
	if (state != TCP_NEW_SYN_RECV)
		return BPF_CORE_READ(tcp, is_mptcp);
	/* Set for every client of an MPTCP listener; the next two for those that speak MPTCP. */
	if (!BPF_CORE_READ(request, is_mptcp))
		return 0;
	return BPF_CORE_READ_BITFIELD_PROBED(subflow, mp_capable) ||
	       BPF_CORE_READ_BITFIELD_PROBED(subflow, mp_join);
}

#endif
