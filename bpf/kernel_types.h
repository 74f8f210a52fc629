/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * The kernel structs and members that the programs read. CO-RE finds their real offsets in the
 * running kernel's BTF, so that the build does not depend on the build machine's kernel. Names as
 * in include/net/sock.h, inet_sock.h, inet_connection_sock.h, request_sock.h, sock_reuseport.h,
 * include/linux/{fs,sched,filter,bpf,net,tcp,nsproxy}.h, fs/mount.h, cgroup-defs.h, kernfs.h, net/mptcp/protocol.h.
 */
#ifndef RM_KERNEL_TYPES_H
#define RM_KERNEL_TYPES_H

#include <linux/types.h>

#define AF_INET 2
#define AF_INET6 10
/* BPF_TCP_* of uapi/linux/bpf.h */
#define TCP_ESTABLISHED 1
#define TCP_CLOSE_WAIT 8
#define TCP_LISTEN 10
#ifndef IPPROTO_MPTCP
#define IPPROTO_MPTCP 262
#endif

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

typedef struct {
	int counter;
} atomic_t;

typedef struct {
	unsigned int val;
} kuid_t;

struct ns_common {
	unsigned int inum;
};

struct net {
	struct ns_common ns;
};

typedef struct {
	struct net *net;
} possible_net_t;

struct sock_common {
	__be32 skc_rcv_saddr;
	__u16 skc_num;
	unsigned short skc_family;
	volatile unsigned char skc_state;
	unsigned char skc_reuseport : 1;
	unsigned char skc_ipv6only : 1;
	int skc_bound_dev_if;
	int skc_incoming_cpu;
	possible_net_t skc_net;
	struct in6_addr skc_v6_rcv_saddr;
};

struct bpf_prog_aux {
	__u32 id;
};

struct bpf_prog {
	struct bpf_prog_aux *aux;
};

struct sock_reuseport {
	__u16 num_socks;
	__u16 incoming_cpu; /* listeners that prefer a CPU; since Linux 6.2 */
	struct bpf_prog *prog;
};

struct sock {
	struct sock_common __sk_common;
	__u32 sk_ack_backlog;
	__u32 sk_max_ack_backlog;
	__u16 sk_protocol;
	kuid_t sk_uid;
	void *sk_user_data;
	struct sock_reuseport *sk_reuseport_cb;
};

struct request_sock_queue {
	atomic_t qlen;
};

struct inet_connection_sock {
	struct request_sock_queue icsk_accept_queue;
};

/* Absent from kernels built without MPTCP: check with bpf_core_field_exists(). */
struct mptcp_sock {
	struct sock *first; /* of a listener: its TCP socket */
};

/* Absent from kernels built without MPTCP, TCP_MD5SIG or TCP_AO: check before each is read. */
struct tcp_sock {
	_Bool is_mptcp;
	void *md5sig_info;
	void *ao_info;
};

struct tcp_request_sock {
	_Bool is_mptcp;
};

struct mptcp_subflow_request_sock {
	__u16 mp_capable : 1, mp_join : 1;
};

struct socket {
	struct sock *sk;
};

struct pid_namespace {
	struct ns_common ns;
};

/* Element of the array at the end of struct pid. Read by offset, so all members are declared. */
struct upid {
	int nr;
	struct pid_namespace *ns;
};

struct pid {
	unsigned int level;
	struct upid numbers[1];
};

struct kernfs_node {
	const char *name;
	__u64 id;
};

struct cgroup;

struct cgroup_subsys_state {
	struct cgroup *cgroup;
	struct cgroup_subsys_state *parent;
};

struct cgroup {
	struct cgroup_subsys_state self;
	struct kernfs_node *kn;
};

struct css_set {
	struct cgroup *dfl_cgrp;
};

/* Private to fs/mount.h, but in BTF. */
struct mnt_namespace {
	struct ns_common ns;
};

struct nsproxy {
	struct mnt_namespace *mnt_ns;
	struct net *net_ns;
};

typedef struct {
	__u32 cap[2];
} kernel_cap_t;

struct cred {
	kernel_cap_t cap_effective;
};

struct task_struct {
	struct cred *cred;
	struct css_set *cgroups;
	struct nsproxy *nsproxy;
	struct pid *thread_pid;
	__u64 start_boottime;
	struct task_struct *group_leader;
	char comm[16];
};

struct seq_file;
struct file;

struct bpf_iter_meta {
	struct seq_file *seq;
};

struct bpf_iter__task_file {
	struct bpf_iter_meta *meta;
	struct task_struct *task;
	__u32 fd;
	struct file *file;
};

struct bpf_iter__task {
	struct bpf_iter_meta *meta;
	struct task_struct *task;
};

#pragma clang attribute pop

#endif
