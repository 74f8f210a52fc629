// SPDX-License-Identifier: MIT OR GPL-2.0-only
/*
 * Lists every process of the host with its network and mount namespace, in one read of a task
 * iterator. /proc/PID/ns shows the same, but a process can make reading it hang for ever.
 */
#include <linux/bpf.h>
#include <linux/in6.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>

#include "kernel_types.h"
#include "pid.h"
#include "reports.h"

const volatile struct rm_iter_options options = {};

/* Not inlined, so that BTF has struct rm_process for the ABI test. */
static __noinline int emit_process(struct seq_file *seq, struct rm_process *r)
{
	return bpf_seq_write(seq, r, sizeof(*r));
}

SEC("iter/task")
int list_processes(struct bpf_iter__task *ctx)
{
	struct task_struct *task = ctx->task, *leader;
	struct rm_process r = {};
	struct nsproxy *proxy;
	struct pid *pid;

	if (!task)
		return 0;
	leader = task->group_leader;
	proxy = task->nsproxy;
	/* None: it is exiting. Threads share their leader's, as a rule. */
	if (!proxy || (task != leader && proxy == leader->nsproxy))
		return 0;
	pid = leader->thread_pid;
	r.pid = pid_number(pid, pid->level, options.pidns);
	r.netns = BPF_CORE_READ(proxy, net_ns, ns.inum);
	r.mntns = BPF_CORE_READ(proxy, mnt_ns, ns.inum);
	emit_process(ctx->meta->seq, &r);
	return 0;
}

char _license[] SEC("license") = "Dual MIT/GPL";
