// SPDX-License-Identifier: MIT OR GPL-2.0-only
/*
 * Reference of questions 3 and 4: a program like the kernel's selftest
 * (tools/testing/selftests/bpf/progs/test_migrate_reuseport.c): it looks the listener's cookie up
 * in a hash map, selects from a sockarray and counts by the state of the connection. The selftest
 * decides for migrating connections only; this program, for question 3, also for new ones.
 */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

struct {
	__uint(type, BPF_MAP_TYPE_REUSEPORT_SOCKARRAY);
	__uint(max_entries, 256);
	__type(key, __u32);
	__type(value, __u64);
} sockets SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 256);
	__type(key, __u64);
	__type(value, __u32);
} destinations SEC(".maps");

__u64 migrated_at_close, migrated_in_handshake, new_connections;

SEC("sk_reuseport/migrate")
int reference(struct sk_reuseport_md *ctx)
{
	struct bpf_sock *migrating = ctx->migrating_sk;
	__u64 cookie = bpf_get_socket_cookie(ctx->sk);
	__u32 *key = bpf_map_lookup_elem(&destinations, &cookie);

	if (!key)
		return SK_DROP;
	if (bpf_sk_select_reuseport(ctx, &sockets, key, 0))
		return SK_PASS;
	if (!migrating)
		__sync_fetch_and_add(&new_connections, 1);
	else if (migrating->state == 1 /* BPF_TCP_ESTABLISHED */)
		__sync_fetch_and_add(&migrated_at_close, 1);
	else
		__sync_fetch_and_add(&migrated_in_handshake, 1);
	return SK_PASS;
}

char _license[] SEC("license") = "Dual MIT/GPL";
