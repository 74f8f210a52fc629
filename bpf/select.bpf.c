// SPDX-License-Identifier: MIT OR GPL-2.0-only
/*
 * The decision: which listener of the group serves this connection. One
 * instance of this object a group. The loader plans, this program looks up:
 * a new connection costs one select at most, unless its target has just closed;
 * a migrating one the source's settings class and up to RM_TRIES selects.
 *
 * With a standby in the group the kernel's hash would give it a share. So every
 * decision is explicit then: a target, whichever lives, and only else the standby.
 *
 * What it returns (net/core/sock_reuseport.c): SK_PASS after a successful
 * select: that listener. SK_PASS without one: the kernel's hash over the live
 * listeners of the group. SK_DROP: refused (syn) or reset (migrating stages).
 */
#include <linux/bpf.h>
#include <linux/tcp.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>
#include <linux/errno.h>

#include "reuseport_migrate.h"

#define TCP_NEW_SYN_RECV 12 /* BPF_TCP_NEW_SYN_RECV, uapi/linux/bpf.h */

struct {
	__uint(type, BPF_MAP_TYPE_SOCKMAP);
	__uint(max_entries, RM_MAX_SLOTS);
	__type(key, __u32);
	__type(value, __u64); /* 8 bytes, so that user space can read the cookie back */
} listeners SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, RM_MAX_SLOTS);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, __u64);
	__type(value, struct rm_source);
} cookies SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 2);
	__type(key, __u32);
	__type(value, struct rm_plan);
} plans SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct rm_control);
} control SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, RM_MAX_SLOTS + 1);
	__type(key, __u32);
	__type(value, struct rm_counters);
} counters SEC(".maps");

/* The loader's own memory; no program reads it. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, RM_MAX_SLOTS);
	__type(key, __u32);
	__type(value, struct rm_slot);
} slots SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct rm_group);
} group SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct rm_standby);
} standby SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct rm_holds);
} holds SEC(".maps");

#define GROUP_ROW 0
#define ROW_OF(slot) ((slot) + 1)

/* Stage and outcome are constants at every call but the migrating stage. */
static __always_inline void count(__u32 row, __u32 stage, __u32 outcome)
{
	struct rm_counters *c = bpf_map_lookup_elem(&counters, &row);
	__u32 cell = stage * RM_OUTCOMES + outcome;

	if (c && cell < RM_STAGES * RM_OUTCOMES)
		c->decisions[cell]++;
}

static __always_inline void count_into(__u32 slot, __u32 stage)
{
	__u32 row = ROW_OF(slot);
	struct rm_counters *c = bpf_map_lookup_elem(&counters, &row);

	if (c && stage < RM_STAGES)
		c->into[stage]++;
}

/* An index below n, from 32 bits of hash; as reciprocal_scale() of the kernel. */
static __always_inline __u32 scale(__u32 hash, __u32 n)
{
	return ((__u64)hash * n) >> 32;
}

/* The mask shows the verifier what the plan guarantees: index < RM_MAX_SLOTS. */
_Static_assert((RM_MAX_SLOTS & (RM_MAX_SLOTS - 1)) == 0, "RM_MAX_SLOTS is a power of two");

static __always_inline __u32 slot_at(const __u16 *slots, __u32 index)
{
	return slots[index & (RM_MAX_SLOTS - 1)];
}

static __always_inline __u32 failed(long err)
{
	return err == -ENOENT ? RM_OUTCOME_FALLBACK_GONE : RM_OUTCOME_FALLBACK_REFUSED;
}

/* Why the plan had no target to try for a source of this class, of which it knows n. */
static __always_inline __u32 nobody(const struct rm_plan *plan, __u32 class, __u32 n)
{
	if (plan->target_count <= n)
		return RM_OUTCOME_FALLBACK_NO_TARGET;
	return class ? RM_OUTCOME_FALLBACK_SETTINGS : RM_OUTCOME_FALLBACK_SOURCE;
}

/*
 * A few of the `n` targets of new connections, by hash: the one selected, or -1.
 * `err` is then what the last one tried said, or as it was.
 */
static __always_inline int try_targets(struct sk_reuseport_md *ctx, const struct rm_plan *plan,
				       __u32 n, __u32 tries, __u32 not_row, long *err)
{
	__u32 start = scale(ctx->hash, n);

	for (__u32 i = 0; i < RM_TRIES && i < n && i < tries; i++) {
		__u32 index = start + i, slot;

		if (index >= n)
			index -= n;
		slot = slot_at(plan->syn, index);
		if (ROW_OF(slot) == not_row)
			continue; /* the one that closes */
		*err = bpf_sk_select_reuseport(ctx, &listeners, &slot, 0);
		if (!*err)
			return slot;
	}
	return -1;
}

/* The last resort; false where there is no standby, or it is the one that closes. */
static __always_inline int try_standby(struct sk_reuseport_md *ctx, const struct rm_control *ctl,
				       __u32 not_row)
{
	__u32 slot = ctl->standby;

	return slot && ROW_OF(slot) != not_row &&
	       !bpf_sk_select_reuseport(ctx, &listeners, &slot, 0);
}

/* The sidecar's own question whether the candidate accepts. */
static __always_inline int is_probe(struct sk_reuseport_md *ctx, const struct rm_control *ctl)
{
	const struct tcphdr *tcp = ctx->data;

	return ctl->probe && (const void *)(tcp + 1) <= ctx->data_end &&
	       bpf_ntohs(tcp->source) == ctl->probe;
}

/* A new connection: one array lookup, or two and a select. */
static __always_inline int on_syn(struct sk_reuseport_md *ctx, const struct rm_control *ctl)
{
	__u32 n = ctl->syn_count, active = ctl->active, last = ctl->standby;
	const struct rm_plan *plan;
	long err = 0;
	int slot;

	/* `--route kernel`, nothing draining, no standby: every listener may have it. */
	if (!n && !last) {
		count(GROUP_ROW, RM_STAGE_SYN, RM_OUTCOME_KERNEL);
		return SK_PASS;
	}

	if (is_probe(ctx, ctl)) {
		__u32 candidate = last + 1;

		/* Not counted: it is no client's. */
		bpf_sk_select_reuseport(ctx, &listeners, &candidate, 0);
		return SK_PASS;
	}

	plan = bpf_map_lookup_elem(&plans, &active);
	if (!plan)
		return SK_PASS; /* cannot happen: the loader writes 0 or 1 */
	slot = try_targets(ctx, plan, n, last ? RM_TRIES : 1, GROUP_ROW, &err);
	if (slot >= 0) {
		count(ROW_OF(slot), RM_STAGE_SYN, RM_OUTCOME_SELECTED);
		return SK_PASS;
	}
	if (try_standby(ctx, ctl, GROUP_ROW)) {
		count(ROW_OF(last), RM_STAGE_SYN, RM_OUTCOME_SELECTED);
		return SK_PASS;
	}

	/* Those targets have just closed; any live listener is better than a refusal. */
	count(GROUP_ROW, RM_STAGE_SYN, err ? failed(err) : RM_OUTCOME_FALLBACK_NO_TARGET);
	return SK_PASS;
}

/* A connection whose listener closes or has closed. */
static __always_inline int on_migrate(struct sk_reuseport_md *ctx, const struct rm_control *ctl,
				      __u32 stage)
{
	__u32 row = GROUP_ROW, class = 0, first, n, total, start, slot, outcome;
	__u32 active = ctl->active;
	const struct rm_range *range;
	const struct rm_plan *plan;
	struct rm_source *source;
	__u64 cookie;
	long err = 0;
	int other;

	cookie = bpf_get_socket_cookie(ctx->sk);
	source = bpf_map_lookup_elem(&cookies, &cookie);
	if (source) {
		row = ROW_OF(source->slot);
		class = source->class;
	}

	/* `--migrate off`: what the kernel does without us. */
	if (ctl->migrate == RM_MIGRATE_OFF) {
		count(row, stage, RM_OUTCOME_DROPPED);
		return SK_DROP;
	}

	plan = bpf_map_lookup_elem(&plans, &active);
	if (!plan)
		return SK_PASS; /* cannot happen: the loader writes 0 or 1 */
	if (class >= RM_MAX_CLASSES)
		class = 0;
	range = &plan->classes[class];
	first = range->first;
	n = range->count;
	total = range->total;

	/*
	 * One of the best by hash. It may have closed since the plan was made:
	 * then its neighbours, then what is second best.
	 */
	start = scale(ctx->hash, n);
	for (__u32 i = 0; i < RM_TRIES && i < total; i++) {
		__u32 index = i;

		if (i < n) {
			index = start + i;
			if (index >= n)
				index -= n;
		}
		slot = slot_at(plan->migrate, first + index);
		if (ROW_OF(slot) == row)
			continue; /* the one that closes */
		err = bpf_sk_select_reuseport(ctx, &listeners, &slot, 0);
		if (!err) {
			count(row, stage, RM_OUTCOME_SELECTED);
			count_into(slot, stage);
			return SK_PASS;
		}
	}
	outcome = err ? failed(err) : nobody(plan, class, total);

	/* Beside a standby the kernel's hash must not choose: any target, else the standby. */
	if (ctl->standby) {
		other = try_targets(ctx, plan, ctl->syn_count, RM_TRIES, row, &err);
		if (other >= 0) {
			count(row, stage, outcome);
			count_into(other, stage);
			return SK_PASS;
		}
		if (try_standby(ctx, ctl, row)) {
			count(row, stage, RM_OUTCOME_SELECTED);
			count_into(ctl->standby, stage);
			return SK_PASS;
		}
	}

	/* The kernel's hash knows who is left. */
	count(row, stage, outcome);
	return SK_PASS;
}

SEC("sk_reuseport/migrate")
int select_listener(struct sk_reuseport_md *ctx)
{
	struct bpf_sock *migrating = ctx->migrating_sk;
	const struct rm_control *ctl;
	__u32 zero = 0;

	ctl = bpf_map_lookup_elem(&control, &zero);
	if (!ctl)
		return SK_PASS; /* cannot happen: an array's entry 0 */

	if (!migrating)
		return on_syn(ctx, ctl);
	if (migrating->state != TCP_NEW_SYN_RECV)
		return on_migrate(ctx, ctl, RM_STAGE_ACCEPT_QUEUE);
	/* A half-open request: a packet brought us here, or the SYN-ACK timer. */
	return on_migrate(ctx, ctl, ctx->len ? RM_STAGE_HANDSHAKE_ACK : RM_STAGE_HANDSHAKE_TIMER);
}

char _license[] SEC("license") = "Dual MIT/GPL";
