// SPDX-License-Identifier: MIT OR GPL-2.0-only
/*
 * Reports each TCP bind() to a watched port, so that a new listener becomes a target within
 * milliseconds. The program runs at every bind() of the host, also for clients that bind to their
 * own address. It allows every bind.
 */
#include <linux/bpf.h>
#include <linux/in.h>
#include <linux/in6.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>

#include "kernel_types.h"
#include "pid.h"
#include "reuseport_migrate.h"

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

/* One bit per port. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 65536 / WORD_BITS);
	__type(key, __u32);
	__type(value, __u64);
} ports SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 4096); /* bytes */
} events SEC(".maps");

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

/* Not inlined, so that BTF has struct rm_bind_event for the ABI test. */
static __noinline int report(const struct rm_bind_event *e)
{
	if (!e)
		return 0;
	/* If the buffer is full, the loader has unread events and polls anyway. */
	bpf_ringbuf_output(&events, (void *)e, sizeof(*e), 0);
	return 0;
}

static __always_inline int bound(struct bpf_sock *sk)
{
	struct rm_bind_event e = {};
	__u32 port, word = 0;
	__u64 *bits;

	if (sk->protocol != IPPROTO_TCP)
		return 1;
	port = sk->src_port; /* host byte order */
	bits = bpf_map_lookup_elem(&ranges, &word);
	if (!bits || !(*bits >> (port / RANGE) & 1))
		return 1;
	word = port / WORD_BITS;
	bits = bpf_map_lookup_elem(&ports, &word);
	if (bits && *bits >> (port % WORD_BITS) & 1) {
		e.port = port;
		e.pid = binder();
		report(&e);
	}
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
