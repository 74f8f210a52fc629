// SPDX-License-Identifier: MIT OR GPL-2.0-only
/*
 * Reports TCP binds to watched ports, so that a new listener becomes a target within milliseconds.
 * The program runs at every bind() of the host, also for clients that bind to their own address. It
 * allows every bind.
 *
 * Any user can bind without a pause, so the loader permits a number of reports at a time. Until it
 * has handled these, binds are only counted.
 */
#include <linux/bpf.h>
#include <linux/in.h>
#include <linux/in6.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>

#include "kernel_types.h"
#include "pid.h"
#include "reports.h"

/* Inode number of the loader's pid namespace. */
const volatile __u32 pidns = 0;

/* Ports per bit of `ranges`. */
#define RANGE 1024

/* One cached word rules out nearly all ports of clients: 0.2 us less than a hash (bench row 10). */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u64);
} ranges SEC(".maps");

/* Bits per word of `ports`. */
#define WORD_BITS 64

/* One bit per port: whether it is watched in every network namespace. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 65536 / WORD_BITS);
	__type(key, __u32);
	__type(value, __u64);
} ports SEC(".maps");

/* Ports that are watched in one namespace: its inode number << 16 | port (host byte order). */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1024);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, __u64);
	__type(value, __u8);
} netns_ports SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, __u32);
	__type(value, struct rm_bind_budget);
} budget SEC(".maps");

#define EVENTS_BYTES 4096

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, EVENTS_BYTES);
} events SEC(".maps");

/*
 * The loader permits more reports only after it has consumed some, so that at most two budgets wait:
 * the buffer never is full, and consuming it ends.
 */
_Static_assert(2 * RM_BIND_BUDGET * (BPF_RINGBUF_HDR_SZ + sizeof(struct rm_bind_event)) <
		       EVENTS_BYTES,
	       "the ring buffer holds two budgets");

/*
 * Returns the caller's pid as the loader sees it. bpf_get_current_pid_tgid() knows the initial pid
 * namespace only.
 */
static __always_inline __u32 binder(void)
{
	struct task_struct *task = (struct task_struct *)bpf_get_current_task();
	struct pid *pid = BPF_CORE_READ(task, group_leader, thread_pid);

	return pid_number(pid, BPF_CORE_READ(pid, level), pidns);
}

/*
 * Returns the inode number of the socket's network namespace. The context of this program type is
 * the kernel's socket itself (kernel/bpf/cgroup.c, __cgroup_bpf_run_filter_sk).
 */
static __always_inline __u32 netns_of(struct bpf_sock *ctx)
{
	struct sock *sk = (void *)ctx;

	return BPF_CORE_READ(sk, __sk_common.skc_net.net, ns.inum);
}

/* Not inlined, so that BTF has struct rm_bind_event for the ABI test. */
static __noinline int report(const struct rm_bind_event *e)
{
	return e && !bpf_ringbuf_output(&events, (void *)e, sizeof(*e), 0);
}

/* Takes one of the reports that the loader has permitted. */
static __always_inline int take(struct rm_bind_budget *b)
{
	/* Without the first comparison, a flood would raise `taken` beyond any limit. */
	return b->taken < b->limit && __sync_fetch_and_add(&b->taken, 1) < b->limit;
}

static __always_inline int is_watched(struct bpf_sock *sk, __u32 port)
{
	__u32 word = 0;
	__u64 *bits, key;

	bits = bpf_map_lookup_elem(&ranges, &word);
	if (!bits || !(*bits >> (port / RANGE) & 1))
		return 0;
	word = port / WORD_BITS;
	bits = bpf_map_lookup_elem(&ports, &word);
	if (bits && *bits >> (port % WORD_BITS) & 1)
		return 1;
	key = (__u64)netns_of(sk) << 16 | port;
	return bpf_map_lookup_elem(&netns_ports, &key) != 0;
}

static __always_inline int bound(struct bpf_sock *sk)
{
	struct rm_bind_event e = {};
	struct rm_bind_budget *b;
	__u32 zero = 0;

	if (sk->protocol != IPPROTO_TCP || !is_watched(sk, sk->src_port /* host byte order */))
		return 1;
	b = bpf_map_lookup_elem(&budget, &zero);
	if (!b)
		return 1;
	if (take(b)) {
		e.port = sk->src_port;
		e.pid = binder();
		if (report(&e))
			return 1;
	}
	__sync_fetch_and_add(&b->missed, 1);
	return 1; /* allow, always */
}

SEC("cgroup/post_bind4")
int bound4(struct bpf_sock *sk)
{
	return bound(sk);
}

SEC("cgroup/post_bind6")
int bound6(struct bpf_sock *sk)
{
	return bound(sk);
}

char _license[] SEC("license") = "Dual MIT/GPL";
