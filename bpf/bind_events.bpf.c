// SPDX-License-Identifier: MIT OR GPL-2.0-only
/*
 * Tells the loader that a TCP socket was bound to a watched port, so that a new
 * listener becomes a target within milliseconds. Runs at each bind() of the
 * host, so also for each connection of a client that binds to its own address;
 * it decides nothing.
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

/* Ports of a bit in `ranges`. */
#define RANGE 1024

/* One word, which stays in the cache, tells of nearly all clients' ports: 0.2 us less than a hash. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u64);
} ranges SEC(".maps");

/* Bits of a word of `ports`. */
#define WORD_BITS 64

/* A bit a port. */
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

/* Who binds. The helper that other programs have for it knows the host's pid namespace only. */
static __always_inline __u32 binder(void)
{
	struct task_struct *task = (struct task_struct *)bpf_get_current_task();
	struct pid *pid = BPF_CORE_READ(task, group_leader, thread_pid);

	return pid_number(pid, BPF_CORE_READ(pid, level), pidns);
}

/* Not inlined, so that struct rm_bind_event stays in BTF for the ABI test. */
static __noinline int report(const struct rm_bind_event *e)
{
	if (!e)
		return 0;
	/* Full: the loader is behind and will look anyway. */
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
