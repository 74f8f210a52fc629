// SPDX-License-Identifier: MIT OR GPL-2.0-only
/*
 * Tells the loader that a TCP socket was bound to a watched port, so that a new
 * listener becomes a target within milliseconds. Runs once a bind() to an
 * explicit port, never for a connection; it decides nothing.
 */
#include <linux/bpf.h>
#include <linux/in.h>
#include <bpf/bpf_helpers.h>

#include "reuseport_migrate.h"

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, RM_MAX_SLOTS);
	__type(key, __u16); /* port, host byte order */
	__type(value, __u8);
} ports SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 4096); /* bytes */
} events SEC(".maps");

/* Not inlined, so that struct rm_event stays in BTF for the ABI test. */
static __noinline int tell(const struct rm_event *e)
{
	if (!e)
		return 0;
	/* Full: the loader is behind and will look anyway. */
	bpf_ringbuf_output(&events, (void *)e, sizeof(*e), 0);
	return 0;
}

static __always_inline int bound(struct bpf_sock *sk)
{
	struct rm_event e = {};

	if (sk->protocol != IPPROTO_TCP)
		return 1;
	e.port = sk->src_port; /* host byte order */
	if (bpf_map_lookup_elem(&ports, &e.port))
		tell(&e);
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
