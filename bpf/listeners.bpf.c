// SPDX-License-Identifier: MIT OR GPL-2.0-only
/*
 * Lists every listening TCP or MPTCP socket of the host in one read of a task_file iterator: one
 * record per file descriptor. With `options.udp` it also lists bound UDP sockets, which explain why
 * a SPEC does not match.
 */
#include <linux/bpf.h>
#include <linux/in.h>
#include <linux/in6.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>

#include "kernel_types.h"
#include "pid.h"
#include "reports.h"

/* Bit of sk_user_data (include/net/sock.h) that, on TCP, only a REUSEPORT_SOCKARRAY sets. */
#define SK_USER_DATA_BPF 2

const volatile struct rm_iter_options options = {};

/* Returns whether a socket is listed: TCP and MPTCP listeners, and bound UDP sockets on request. */
static __always_inline int is_listed(struct sock *sk, __u16 protocol)
{
	if (protocol == IPPROTO_TCP || protocol == IPPROTO_MPTCP)
		return sk->__sk_common.skc_state == TCP_LISTEN;
	return options.udp && protocol == IPPROTO_UDP && sk->__sk_common.skc_num;
}

/* Reads a group's size and attached program. @probe: `reuse` is a mere number to the verifier. */
static __always_inline void read_group(struct sock_reuseport *reuse, int probe,
				       struct rm_listener *r)
{
	struct bpf_prog *prog;

	if (!reuse)
		return;
	r->group = (__u64)reuse;
	r->group_size = probe ? BPF_CORE_READ(reuse, num_socks) : reuse->num_socks;
	prog = probe ? BPF_CORE_READ(reuse, prog) : reuse->prog;
	if (prog) {
		r->has_prog = 1;
		/* Classic filters have no id: 0. */
		r->prog_id = probe ? BPF_CORE_READ(prog, aux, id) : prog->aux->id;
	}
}

/* Returns whether peers sign their segments: TCP_MD5SIG, TCP_AO. getsockopt(2) does not tell. */
static __always_inline int is_keyed(struct tcp_sock *tp)
{
	if (bpf_core_field_exists(tp->md5sig_info) && BPF_CORE_READ(tp, md5sig_info))
		return 1;
	return bpf_core_field_exists(tp->ao_info) && BPF_CORE_READ(tp, ao_info);
}

/* Returns the CPU that a listener prefers, + 1; 0: none, or a kernel that would not follow it. */
static __always_inline __u32 preferred_cpu(struct sock *sk)
{
	struct sock_reuseport *reuse = 0;

	return bpf_core_field_exists(reuse->incoming_cpu) ? sk->__sk_common.skc_incoming_cpu + 1 :
							    0;
}

/*
 * Reads a plain TCP listener. The verifier knows the type of the socket, so members are loaded
 * directly. Copying each with a helper takes several times as long, for every listener of the host
 * (bench row 11).
 */
static __always_inline void read_tcp(struct sock *sk, struct rm_listener *r)
{
	r->uid = sk->sk_uid.val;
	r->reuseport = BPF_CORE_READ_BITFIELD(&sk->__sk_common, skc_reuseport);
	r->queue_length = sk->sk_ack_backlog;
	r->queue_limit = sk->sk_max_ack_backlog;
	r->half_open =
		BPF_CORE_READ((struct inet_connection_sock *)sk, icsk_accept_queue.qlen.counter);
	r->keyed = is_keyed((struct tcp_sock *)sk);
	r->incoming_cpu = preferred_cpu(sk);
	read_group(sk->sk_reuseport_cb, 0, r);
}

/* Reads the TCP socket behind an MPTCP listener. */
static __always_inline void read_mptcp(struct sock *sk, struct rm_listener *r)
{
	struct mptcp_sock *msk = (struct mptcp_sock *)sk;
	struct sock *tcp = 0;

	if (bpf_core_field_exists(msk->first))
		tcp = BPF_CORE_READ(msk, first);
	if (!tcp) {
		r->uid = sk->sk_uid.val;
		return; /* unknown group: reported as in none */
	}
	r->uid = BPF_CORE_READ(tcp, sk_uid.val);
	r->reuseport = BPF_CORE_READ_BITFIELD_PROBED(tcp, __sk_common.skc_reuseport);
	r->queue_length = BPF_CORE_READ(tcp, sk_ack_backlog);
	r->queue_limit = BPF_CORE_READ(tcp, sk_max_ack_backlog);
	r->half_open =
		BPF_CORE_READ((struct inet_connection_sock *)tcp, icsk_accept_queue.qlen.counter);
	read_group(BPF_CORE_READ(tcp, sk_reuseport_cb), 1, r);
}

/* Returns whether a process is a lender, which borrows a listener, or is stuck with it: no owner. */
static __always_inline int is_lender(const char comm[RM_COMM_LEN])
{
#pragma unroll
	for (unsigned int i = 0; i < sizeof(RM_LENDER_COMM); i++)
		if (comm[i] != RM_LENDER_COMM[i])
			return 0;
	return 1;
}

/* Not inlined, so that BTF has struct rm_listener for the ABI test. */
static __noinline int emit(struct seq_file *seq, struct rm_listener *r)
{
	return bpf_seq_write(seq, r, sizeof(*r));
}

SEC("iter/task_file")
int list_listeners(struct bpf_iter__task_file *ctx)
{
	struct task_struct *task = ctx->task, *leader;
	struct file *file = ctx->file;
	struct rm_listener r = {};
	struct socket *sock;
	struct sock *sk;
	struct pid *pid;
	__u16 family;

	if (!task || !file)
		return 0;
	sock = bpf_sock_from_file(file);
	if (!sock)
		return 0;
	sk = sock->sk;
	if (!sk)
		return 0;
	family = sk->__sk_common.skc_family;
	if (family != AF_INET && family != AF_INET6)
		return 0;
	r.protocol = sk->sk_protocol;
	if (!is_listed(sk, r.protocol))
		return 0;

	r.cookie = bpf_get_socket_cookie(sk);
	r.fd = ctx->fd;
	leader = task->group_leader;
	pid = leader->thread_pid;
	/* The iterator visits only processes of its reader's pid namespace. */
	r.pid = pid_number(pid, pid->level, options.pidns);
	r.start_ns = leader->start_boottime;
	bpf_core_read_str(r.comm, sizeof(r.comm), &leader->comm);
	if (is_lender(r.comm))
		return 0;

	r.family = family;
	r.port = sk->__sk_common.skc_num;
	r.netns = sk->__sk_common.skc_net.net->ns.inum;
	r.ifindex = sk->__sk_common.skc_bound_dev_if;
	r.v6only = BPF_CORE_READ_BITFIELD(&sk->__sk_common, skc_ipv6only);
	if (family == AF_INET) {
		__be32 addr = sk->__sk_common.skc_rcv_saddr;

		__builtin_memcpy(r.addr, &addr, sizeof(addr));
	} else {
		bpf_core_read(r.addr, sizeof(r.addr), &sk->__sk_common.skc_v6_rcv_saddr);
	}

	r.sockarray = !!((__u64)BPF_CORE_READ(sk, sk_user_data) & SK_USER_DATA_BPF);
	if (r.protocol == IPPROTO_MPTCP)
		read_mptcp(sk, &r);
	else
		read_tcp(sk, &r);
	if (r.protocol == IPPROTO_UDP)
		r.queue_length = r.queue_limit = r.half_open = 0;

	emit(ctx->meta->seq, &r);
	return 0;
}

char _license[] SEC("license") = "Dual MIT/GPL";
