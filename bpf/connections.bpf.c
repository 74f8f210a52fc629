// SPDX-License-Identifier: MIT OR GPL-2.0-only
/*
 * Lists the open connections that a process has accepted, in one read of a task_file iterator: the
 * cookie of each, once for each file descriptor on it.
 *
 * No port tells that a connection was accepted: below TPROXY or an sk_lookup program it has another
 * one than its listener. But it is a copy of its listener (net/core/sock.c, sk_clone_lock), and has
 * the backlog and SO_REUSEPORT of that one. A connection to another server has neither.
 */
#include <linux/bpf.h>
#include <linux/in.h>
#include <linux/in6.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>

#include "kernel_types.h"

/* Returns whether the server may still send. */
static __always_inline int is_open(struct sock *sk)
{
	__u8 state = sk->__sk_common.skc_state;
	__u16 family = sk->__sk_common.skc_family;

	return (family == AF_INET || family == AF_INET6) &&
	       (state == TCP_ESTABLISHED || state == TCP_CLOSE_WAIT);
}

static __always_inline int is_accepted(struct sock *sk)
{
	struct mptcp_sock *msk = (struct mptcp_sock *)sk;
	struct sock *tcp = 0;

	if (BPF_CORE_READ_BITFIELD(&sk->__sk_common, skc_reuseport) || sk->sk_max_ack_backlog)
		return sk->sk_protocol == IPPROTO_TCP || sk->sk_protocol == IPPROTO_MPTCP;
	if (sk->sk_protocol != IPPROTO_MPTCP || !bpf_core_field_exists(msk->first))
		return 0;
	/* The copy is the TCP socket of its first subflow. */
	tcp = BPF_CORE_READ(msk, first);
	return tcp && (BPF_CORE_READ_BITFIELD_PROBED(tcp, __sk_common.skc_reuseport) ||
		       BPF_CORE_READ(tcp, sk_max_ack_backlog));
}

SEC("iter/task_file")
int list_connections(struct bpf_iter__task_file *ctx)
{
	struct file *file = ctx->file;
	struct socket *sock;
	struct sock *sk;
	__u64 cookie;

	if (!ctx->task || !file)
		return 0;
	sock = bpf_sock_from_file(file);
	if (!sock)
		return 0;
	sk = sock->sk;
	if (!sk || !is_open(sk) || !is_accepted(sk))
		return 0;
	cookie = bpf_get_socket_cookie(sk);
	bpf_seq_write(ctx->meta->seq, &cookie, sizeof(cookie));
	return 0;
}

char _license[] SEC("license") = "Dual MIT/GPL";
