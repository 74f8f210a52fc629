// SPDX-License-Identifier: MIT OR GPL-2.0-only
/* Reference of question 2: selects a listener from a sockmap by hash, and nothing else. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

struct {
	__uint(type, BPF_MAP_TYPE_SOCKMAP);
	__uint(max_entries, 1024);
	__type(key, __u32);
	__type(value, __u64);
} sockets SEC(".maps");

const volatile __u32 listeners = 1;

SEC("sk_reuseport/migrate")
int reference(struct sk_reuseport_md *ctx)
{
	__u32 key = ((__u64)ctx->hash * listeners) >> 32;

	return bpf_sk_select_reuseport(ctx, &sockets, &key, 0) ? SK_DROP : SK_PASS;
}

char _license[] SEC("license") = "Dual MIT/GPL";
