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

#include "mptcp.h"
#include "reuseport_migrate.h"

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

/* Told through `moves`, once until the loader has taken it. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct rm_moved);
} moved SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 4096); /* bytes */
} moves SEC(".maps");

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

static __always_inline __u32 slot_at(const __u16 *slots, __u32 index, __u32 size)
{
	return slots[index & (size - 1)];
}

/* What it is called that try_run() selected nothing; `none`: there was nothing to try. */
static __always_inline __u32 failed(int err, __u32 none)
{
	if (err == -ENODATA)
		return none;
	return err == -ENOENT ? RM_OUTCOME_FALLBACK_GONE : RM_OUTCOME_FALLBACK_REFUSED;
}

/* Runs of a plan beside those of its classes. */
#define RUN_OTHER RM_MAX_CLASSES
#define RUN_SYN (RM_MAX_CLASSES + 1)

/*
 * A few of a run, the closing listener's own row left out: one of the best by
 * hash; it may have closed since the plan was made: then its neighbours, then
 * what is second best. The slot selected; else -ENODATA where there was none to
 * try, or what the last one tried said. Not static: the verifier looks at it
 * once, and not at each call.
 */
__noinline int try_run(struct sk_reuseport_md *ctx, const struct rm_plan *plan, __u32 run,
		       __u32 syn_count, __u32 not_row)
{
	__u32 first = 0, n = syn_count, total = syn_count, start, class;
	const struct rm_range *range;
	long err = -ENODATA;

	if (!plan)
		return err;
	if (run != RUN_SYN) {
		/* The mask is for the verifier, and hidden from the compiler, who thinks it idle. */
		class = run;
		asm volatile("" : "+r"(class));
		range = run == RUN_OTHER ? &plan->other :
					   &plan->classes[class & (RM_MAX_CLASSES - 1)];
		first = range->first;
		n = range->count;
		total = range->total;
	}
	start = scale(ctx->hash, n);
	for (__u32 i = 0; i < RM_TRIES && i < total; i++) {
		__u32 index = i, slot;

		if (i < n) {
			index = start + i;
			if (index >= n)
				index -= n;
		}
		slot = run == RUN_SYN ? slot_at(plan->syn, index, RM_MAX_SLOTS) :
					slot_at(plan->migrate, first + index, 2 * RM_MAX_SLOTS);
		if (ROW_OF(slot) == not_row)
			continue;
		err = bpf_sk_select_reuseport(ctx, &listeners, &slot, 0);
		if (!err)
			return slot;
	}
	return err;
}

/* The last resort; false where there is no standby, or it is the one that closes. */
static __always_inline int try_standby(struct sk_reuseport_md *ctx, const struct rm_control *ctl,
				       __u32 not_row)
{
	__u32 slot = ctl->standby;

	return slot && ROW_OF(slot) != not_row &&
	       !bpf_sk_select_reuseport(ctx, &listeners, &slot, 0);
}

/* The sidecar's own: its question whether the candidate accepts, or what wakes a listener. */
static __always_inline int is_probe(struct sk_reuseport_md *ctx, const struct rm_control *ctl)
{
	const struct tcphdr *tcp = ctx->data;

	return ctl->probe && (const void *)(tcp + 1) <= ctx->data_end &&
	       bpf_ntohs(tcp->source) == ctl->probe;
}

/* One load of four members tells that nothing is selected for new connections. */
static __always_inline int is_implicit(const struct rm_control *ctl)
{
	return !*(const __u64 *)ctl;
}

/* A new connection: one array lookup, or two and a select. */
static __always_inline int on_syn(struct sk_reuseport_md *ctx, const struct rm_control *ctl)
{
	__u32 n = ctl->syn_count, active = ctl->active, last = ctl->standby;
	const struct rm_plan *plan;
	int slot;

	/* `--route kernel`, nothing draining, no standby: every listener may have it. */
	if (is_implicit(ctl)) {
		count(GROUP_ROW, RM_STAGE_SYN, RM_OUTCOME_KERNEL);
		return SK_PASS;
	}

	if (is_probe(ctx, ctl)) {
		__u32 probed = ctl->probe_slot;

		/* Not counted: it is no client's. */
		return bpf_sk_select_reuseport(ctx, &listeners, &probed, 0) ? SK_DROP : SK_PASS;
	}
	if (n == RM_SYN_REFUSE) {
		count(GROUP_ROW, RM_STAGE_SYN, RM_OUTCOME_DROPPED);
		return SK_DROP;
	}
	/* Only a probe is under way. */
	if (!n && !last) {
		count(GROUP_ROW, RM_STAGE_SYN, RM_OUTCOME_KERNEL);
		return SK_PASS;
	}

	plan = bpf_map_lookup_elem(&plans, &active);
	if (!plan)
		return SK_PASS; /* cannot happen: the loader writes 0 or 1 */
	slot = try_run(ctx, plan, RUN_SYN, n, GROUP_ROW);
	if (slot >= 0) {
		count(ROW_OF(slot), RM_STAGE_SYN, RM_OUTCOME_SELECTED);
		return SK_PASS;
	}
	if (try_standby(ctx, ctl, GROUP_ROW)) {
		count(ROW_OF(last), RM_STAGE_SYN, RM_OUTCOME_SELECTED);
		return SK_PASS;
	}

	/* Those targets have just closed; any live listener is better than a refusal. */
	count(GROUP_ROW, RM_STAGE_SYN, failed(slot, RM_OUTCOME_FALLBACK_NO_TARGET));
	return SK_PASS;
}

/* A connection whose listener closes or has closed. */
static __always_inline int on_migrate(struct sk_reuseport_md *ctx, const struct rm_control *ctl,
				      __u32 stage, int mptcp)
{
	__u32 row = GROUP_ROW, class = 0, active = ctl->active, why;
	const struct rm_plan *plan;
	struct rm_source *source;
	__u64 cookie;
	int slot;

	cookie = bpf_get_socket_cookie(ctx->sk);
	source = bpf_map_lookup_elem(&cookies, &cookie);
	if (source) {
		row = ROW_OF(source->slot);
		class = source->class;
	}

	/* `--migrate off` and `observe`: what the kernel does without us; so too what would do harm. */
	if (ctl->mode == RM_MODE_PASS) {
		count(row, stage, RM_OUTCOME_KERNEL);
		return SK_PASS;
	}
	if (ctl->mode == RM_MODE_DROP || mptcp) {
		count(row, stage, RM_OUTCOME_DROPPED);
		return SK_DROP;
	}

	plan = bpf_map_lookup_elem(&plans, &active);
	if (!plan)
		return SK_PASS; /* cannot happen: the loader writes 0 or 1 */
	if (class >= RM_MAX_CLASSES)
		class = 0;
	slot = try_run(ctx, plan, class, 0, row);
	if (slot >= 0) {
		count(row, stage, RM_OUTCOME_SELECTED);
		count_into(slot, stage);
		return SK_PASS;
	}
	why = failed(slot, class ? RM_OUTCOME_FALLBACK_SETTINGS : RM_OUTCOME_FALLBACK_SOURCE);

	/* None with its settings, or they have gone: any target (none if strict). */
	slot = try_run(ctx, plan, RUN_OTHER, 0, row);
	if (slot >= 0) {
		count(row, stage, why);
		count_into(slot, stage);
		return SK_PASS;
	}
	if (try_standby(ctx, ctl, row)) {
		count(row, stage, RM_OUTCOME_SELECTED);
		count_into(ctl->standby, stage);
		return SK_PASS;
	}

	/* `--settings strict`: better none than one that is not known to be like the source. */
	if (ctl->mode == RM_MODE_STRICT) {
		count(row, stage, RM_OUTCOME_DROPPED_SETTINGS);
		return SK_DROP;
	}

	/* The kernel's hash knows who is left. */
	count(row, stage, failed(slot, RM_OUTCOME_FALLBACK_NO_TARGET));
	return SK_PASS;
}

/*
 * On kernels that do not wake a destination the loader does (CVE-2026-46015). It
 * looks who has connections waiting: one event is enough until it has begun.
 */
static __always_inline void tell_moved(void)
{
	__u32 zero = 0;
	struct rm_moved *m = bpf_map_lookup_elem(&moved, &zero);

	if (m && !__sync_lock_test_and_set(&m->told, 1))
		bpf_ringbuf_output(&moves, m, sizeof(*m), 0);
}

SEC("sk_reuseport/migrate")
int select_listener(struct sk_reuseport_md *ctx)
{
	struct bpf_sock *migrating = ctx->migrating_sk;
	const struct rm_control *ctl;
	__u32 zero = 0, state, stage;
	int verdict, mptcp;

	ctl = bpf_map_lookup_elem(&control, &zero);
	if (!ctl)
		return SK_PASS; /* cannot happen: an array's entry 0 */

	if (!migrating)
		return on_syn(ctx, ctl);
	state = migrating->state;
	mptcp = speaks_mptcp(migrating, state);
	if (state != TCP_NEW_SYN_RECV) {
		verdict = on_migrate(ctx, ctl, RM_STAGE_ACCEPT_QUEUE, mptcp);
		if (verdict == SK_PASS && ctl->tell)
			tell_moved();
		return verdict;
	}
	/* A half-open request: a packet brought us here, or the SYN-ACK timer. */
	stage = ctx->len ? RM_STAGE_HANDSHAKE_ACK : RM_STAGE_HANDSHAKE_TIMER;
	return on_migrate(ctx, ctl, stage, mptcp);
}

char _license[] SEC("license") = "Dual MIT/GPL";
