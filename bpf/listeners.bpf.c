// SPDX-License-Identifier: MIT OR GPL-2.0-only
/*
 * Who listens: every listening TCP or MPTCP socket of the host, one record for
 * each file descriptor on it, in one read of a task_file iterator. With
 * `observe.udp` bound UDP sockets too, to say why a SPEC does not match.
 */
#include <linux/bpf.h>
#include <linux/in.h>
#include <linux/in6.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>

#include "kernel_types.h"
#include "reuseport_migrate.h"

#define AF_INET 2
#define AF_INET6 10
#define TCP_LISTEN 10 /* BPF_TCP_LISTEN */
#ifndef IPPROTO_MPTCP
#define IPPROTO_MPTCP 262
#endif

/* Low bit of sk_user_data (include/net/sock.h) that a REUSEPORT_SOCKARRAY sets, and nothing else on TCP. */
#define SK_USER_DATA_BPF 2

#define MAX_PID_NS_LEVEL 32 /* include/linux/pid_namespace.h */

const volatile struct rm_observe observe = {};

/* bpf_sock_from_file() wants a BTF pointer; the type's members do not matter. */
static __always_inline int wanted(struct sock *sk, __u16 protocol)
{
	if (protocol == IPPROTO_TCP || protocol == IPPROTO_MPTCP)
		return sk->__sk_common.skc_state == TCP_LISTEN;
	return observe.udp && protocol == IPPROTO_UDP && sk->__sk_common.skc_num;
}

static __always_inline void read_group(struct sock *sk, struct rm_listener *r)
{
	struct sock_reuseport *reuse = sk->sk_reuseport_cb;
	struct bpf_prog *prog;

	if (!reuse)
		return;
	r->group = (__u64)reuse;
	r->group_size = BPF_CORE_READ(reuse, num_socks);
	prog = BPF_CORE_READ(reuse, prog);
	if (prog) {
		r->has_prog = 1;
		/* Classic filters have no id; their aux says 0. */
		r->prog_id = BPF_CORE_READ(prog, aux, id);
	}
}

/* The process's id in the loader's pid namespace, which pidfd_open(2) there understands. */
static __always_inline __u32 read_pid(struct task_struct *leader)
{
	struct pid *pid = BPF_CORE_READ(leader, thread_pid);
	__u32 level = BPF_CORE_READ(pid, level);
	const char *numbers = (const char *)pid + bpf_core_field_offset(pid->numbers);

	for (__u32 i = 0; i < MAX_PID_NS_LEVEL && i <= level; i++) {
		const struct upid *number = (const void *)(numbers + i * sizeof(*number));

		if (BPF_CORE_READ(number, ns, ns.inum) == observe.pidns)
			return BPF_CORE_READ(number, nr);
	}
	return 0; /* not of that namespace: the iterator does not come here then */
}

/* Not inlined, so that struct rm_listener is in BTF for the ABI test. */
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
	struct inet_connection_sock *icsk;
	struct socket *sock;
	struct sock *sk;
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
	if (!wanted(sk, r.protocol))
		return 0;

	r.cookie = bpf_get_socket_cookie(sk);
	r.fd = ctx->fd;
	leader = task->group_leader;
	r.pid = read_pid(leader);
	r.start_ns = BPF_CORE_READ(leader, start_boottime);
	bpf_core_read_str(r.comm, sizeof(r.comm), &leader->comm);

	r.family = family;
	r.port = sk->__sk_common.skc_num;
	r.netns = BPF_CORE_READ(sk, __sk_common.skc_net.net, ns.inum);
	r.uid = BPF_CORE_READ(sk, sk_uid.val);
	r.ifindex = sk->__sk_common.skc_bound_dev_if;
	r.reuseport = BPF_CORE_READ_BITFIELD_PROBED(sk, __sk_common.skc_reuseport);
	r.v6only = BPF_CORE_READ_BITFIELD_PROBED(sk, __sk_common.skc_ipv6only);
	if (family == AF_INET) {
		__be32 addr = sk->__sk_common.skc_rcv_saddr;

		__builtin_memcpy(r.addr, &addr, sizeof(addr));
	} else {
		bpf_core_read(r.addr, sizeof(r.addr), &sk->__sk_common.skc_v6_rcv_saddr);
	}

	if (r.protocol != IPPROTO_UDP) {
		icsk = (struct inet_connection_sock *)sk;
		r.queue_length = sk->sk_ack_backlog;
		r.queue_limit = sk->sk_max_ack_backlog;
		r.half_open = BPF_CORE_READ(icsk, icsk_accept_queue.qlen.counter);
	}
	r.sockarray = !!((__u64)BPF_CORE_READ(sk, sk_user_data) & SK_USER_DATA_BPF);
	read_group(sk, &r);

	emit(ctx->meta->seq, &r);
	return 0;
}

char _license[] SEC("license") = "Dual MIT/GPL";
