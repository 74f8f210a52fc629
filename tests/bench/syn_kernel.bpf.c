// SPDX-License-Identifier: MIT OR GPL-2.0-only
/* Reference of question 1: an empty program. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

SEC("sk_reuseport/migrate")
int reference(struct sk_reuseport_md *ctx)
{
	(void)ctx;
	return SK_PASS;
}

char _license[] SEC("license") = "Dual MIT/GPL";
