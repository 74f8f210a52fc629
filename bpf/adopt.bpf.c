// SPDX-License-Identifier: MIT OR GPL-2.0-only
/*
 * Sets SO_REUSEPORT at each TCP bind() to one of the ports, in the adopted cgroup or below. The
 * programs are attached to the parent of that cgroup and compare names, so the cgroup may be
 * removed and created again. They allow every bind.
 */
#include <linux/bpf.h>
#include <linux/in.h>
#include <linux/in6.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_endian.h>

#include "kernel_types.h"
#include "records.h"
#include "reuseport_migrate.h"

#define SOL_SOCKET 1
#define SO_REUSEPORT 15

/* Most levels between a process and the adopted cgroup. */
#define MAX_DEPTH 32

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct rm_adoption);
} adoption SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, RM_MAX_SLOTS);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, __u16); /* port, host byte order */
	__type(value, struct rm_adopted_port);
} ports SEC(".maps");

static __always_inline int has_name(struct cgroup *cgroup, const struct rm_adoption *a)
{
	char name[RM_CGROUP_NAME_LEN] = {};

	bpf_probe_read_kernel_str(name, sizeof(name), BPF_CORE_READ(cgroup, kn, name));
	for (int i = 0; i < RM_CGROUP_NAME_LEN; i++) {
		if (name[i] != a->name[i])
			return 0;
		if (!name[i])
			return 1;
	}
	return 0; /* cannot happen: names are NUL-terminated */
}

/* Returns whether the calling process is in the adopted cgroup or below. */
static __always_inline int is_adopted(const struct rm_adoption *a)
{
	struct task_struct *task = (void *)bpf_get_current_task();
	struct cgroup *cgroup = BPF_CORE_READ(task, cgroups, dfl_cgrp), *parent;

	if (!a->parent)
		return 1;
	for (int i = 0; i < MAX_DEPTH; i++) {
		parent = BPF_CORE_READ(cgroup, self.parent, cgroup);
		if (!parent)
			return 0; /* the root */
		if (BPF_CORE_READ(parent, kn, id) == a->parent)
			return has_name(cgroup, a);
		cgroup = parent;
	}
	return 0;
}

static __always_inline int adopt(struct bpf_sock_addr *ctx)
{
	__u16 port = bpf_ntohs(ctx->user_port);
	const struct rm_adoption *a;
	struct rm_adopted_port *counts;
	__u32 zero = 0;
	int on = 1;

	/* Port 0: a client that binds to its own address and lets the kernel choose the port. */
	if (!port || ctx->protocol != IPPROTO_TCP)
		return 1;
	counts = bpf_map_lookup_elem(&ports, &port);
	if (!counts)
		return 1; /* not an adopted port */
	a = bpf_map_lookup_elem(&adoption, &zero);
	if (!a || !is_adopted(a))
		return 1;

	if (bpf_setsockopt(ctx, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on)))
		__sync_fetch_and_add(&counts->failed, 1);
	else
		__sync_fetch_and_add(&counts->binds, 1);
	return 1; /* allow, always */
}

SEC("cgroup/bind4")
int bind4(struct bpf_sock_addr *ctx)
{
	return adopt(ctx);
}

SEC("cgroup/bind6")
int bind6(struct bpf_sock_addr *ctx)
{
	return adopt(ctx);
}

char _license[] SEC("license") = "Dual MIT/GPL";
