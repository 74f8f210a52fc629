// SPDX-License-Identifier: MIT OR GPL-2.0-only
/*
 * Reports each TCP bind() that a standby would make fail: to its port, by another user or without
 * SO_REUSEPORT. It runs before the kernel decides, at every bind() of the host, and allows it.
 */
#include <linux/bpf.h>
#include <linux/in.h>
#include <linux/in6.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_endian.h>

#include "kernel_types.h"
#include "pid.h"
#include "reports.h"

#define SOL_SOCKET 1
#define SO_REUSEPORT 15
/* Ports below require CAP_NET_BIND_SERVICE (net.ipv4.ip_unprivileged_port_start). */
#define FIRST_UNPRIVILEGED 1024
#define CAP_NET_BIND_SERVICE 10
/* One report of a port in this time is enough: the sidecar then looks by itself. */
#define SILENT_NS 5000000

/* Inode number of the loader's pid namespace. */
const volatile __u32 pidns = 0;

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1024); /* as many as groups, by default */
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct rm_standby_port);
	__type(value, struct rm_standby_binds);
} standbys SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 4096); /* bytes */
} refused SEC(".maps");

/* Not inlined, so that BTF has struct rm_refused_bind for the ABI test. */
static __noinline int report_refused(const struct rm_refused_bind *e)
{
	return e ? bpf_ringbuf_output(&refused, (void *)e, sizeof(*e), 0) : 0;
}

/* Returns whether the caller may bind to a port, as far as its number decides that. */
static __always_inline int may_bind(struct task_struct *task, __u32 port)
{
	struct cred *cred;
	__u32 effective; /* the first word of kernel_cap_t, which has another layout since 6.3 */

	if (port >= FIRST_UNPRIVILEGED)
		return 1;
	cred = BPF_CORE_READ(task, cred);
	bpf_core_read(&effective, sizeof(effective), &cred->cap_effective);
	return effective >> CAP_NET_BIND_SERVICE & 1;
}

static __always_inline int binding(struct bpf_sock_addr *ctx)
{
	struct task_struct *task = (void *)bpf_get_current_task();
	struct rm_standby_port key = {};
	struct rm_refused_bind e = {};
	struct rm_standby_binds *s;
	struct pid *pid;
	int reuseport = 1;
	__u64 now;

	key.port = bpf_ntohs(ctx->user_port);
	if (!key.port || ctx->protocol != IPPROTO_TCP)
		return 1;
	key.netns = BPF_CORE_READ(task, nsproxy, net_ns, ns.inum);
	s = bpf_map_lookup_elem(&standbys, &key);
	if (!s)
		return 1;
	e.uid = (__u32)bpf_get_current_uid_gid();
	bpf_getsockopt(ctx, SOL_SOCKET, SO_REUSEPORT, &reuseport, sizeof(reuseport));
	if ((reuseport && e.uid == s->uid) || !may_bind(task, key.port))
		return 1;
	now = bpf_ktime_get_ns();
	if (now - s->reported_ns < SILENT_NS)
		return 1;
	s->reported_ns = now;
	e.port = key;
	e.reuseport = reuseport != 0;
	pid = BPF_CORE_READ(task, group_leader, thread_pid);
	e.pid = pid_number(pid, BPF_CORE_READ(pid, level), pidns);
	report_refused(&e);
	return 1; /* allow, always */
}

SEC("cgroup/bind4")
int binding4(struct bpf_sock_addr *ctx)
{
	return binding(ctx);
}

SEC("cgroup/bind6")
int binding6(struct bpf_sock_addr *ctx)
{
	return binding(ctx);
}

char _license[] SEC("license") = "Dual MIT/GPL";
