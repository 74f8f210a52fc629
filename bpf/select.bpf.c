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

/* No hash map: a lookup takes a third of the time, and its memory is what is seen. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, RM_MAX_SLOTS);
	__type(key, __u32);
	__type(value, __u64);
} sources SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, RM_MAX_SLOTS);
	__type(key, __u32);
	__type(value, struct rm_line);
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

/* The ring buffer of whoever wants to be told: only where somebody does, it costs its 16 KiB. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
	__uint(max_entries, 1);
	__type(key, __u32);
	__array(
		values, struct {
			__uint(type, BPF_MAP_TYPE_RINGBUF);
			__uint(max_entries, 4096); /* bytes */
		});
} moves SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, RM_OUTCOMES + RM_MAX_SLOTS);
	__type(key, __u32);
	__type(value, __u64);
} counters SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, RM_MAX_SLOTS + 1);
	__type(key, __u32);
	__type(value, struct rm_migrations);
} migrations SEC(".maps");

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

/* A new connection; `cell`: its outcome, or SELECTED(slot). */
#define SELECTED(slot) (RM_OUTCOMES + (slot))

static __always_inline void count_syn(__u32 cell)
{
	__u64 *count = bpf_map_lookup_elem(&counters, &cell);

	if (count)
		++*count;
}

static __always_inline void count(__u32 row, __u32 stage, __u32 outcome)
{
	struct rm_migrations *m = bpf_map_lookup_elem(&migrations, &row);
	__u32 cell = (stage - 1) * RM_OUTCOMES + outcome;

	if (m && cell < (RM_STAGES - 1) * RM_OUTCOMES)
		__sync_fetch_and_add(&m->decisions[cell], 1);
}

static __always_inline void count_into(__u32 slot, __u32 stage)
{
	__u32 row = ROW_OF(slot), cell = stage - 1;
	struct rm_migrations *m = bpf_map_lookup_elem(&migrations, &row);

	if (m && cell < RM_STAGES - 1)
		__sync_fetch_and_add(&m->into[cell], 1);
}

/* An index below n, from 32 bits of hash; as reciprocal_scale() of the kernel. */
static __always_inline __u32 scale(__u32 hash, __u32 n)
{
	return ((__u64)hash * n) >> 32;
}

static __always_inline const struct rm_line *line_at(__u32 line)
{
	return bpf_map_lookup_elem(&plans, &line);
}

#define SYN_CELL (RM_RANGE_LINES * RM_LINE_CELLS)
#define LINE_RANGES (RM_LINE_CELLS / 4)
#define RANGE_OTHER RM_MAX_CLASSES
_Static_assert(RM_MAX_CLASSES + 1 <= RM_RANGE_LINES * LINE_RANGES, "the ranges have room");

/* The slot in a cell of the plan that begins with line `plan`; -1 where half of a write of `control` was seen. */
static __always_inline int slot_at(__u32 plan, __u32 cell)
{
	const struct rm_line *line = line_at(plan + cell / RM_LINE_CELLS);

	return line ? line->as.cells[cell % RM_LINE_CELLS] : -1;
}

/* What it is called that try_run() selected nothing; `none`: there was nothing to try. */
static __always_inline __u32 failed(int err, __u32 none)
{
	if (err == -ENODATA)
		return none;
	return err == -ENOENT ? RM_OUTCOME_FALLBACK_GONE : RM_OUTCOME_FALLBACK_REFUSED;
}

/*
 * A few of a run, the closing listener's own row left out: one of the best by
 * hash; it may have closed since the plan was made: then its neighbours, then
 * what is second best. The slot selected; else -ENODATA where there was none to
 * try, or what the last one tried said. Not static: the verifier looks at it
 * once, and not at each call.
 * @from: first line of the plan << 16 | first cell of the run in it
 */
__noinline int try_run(struct sk_reuseport_md *ctx, __u32 from, __u32 n, __u32 total, __u32 not_row)
{
	__u32 start = scale(ctx->hash, n);
	long err = -ENODATA;

	for (__u32 i = 0; i < RM_TRIES && i < total; i++) {
		__u32 index = i;
		int slot;

		if (i < n) {
			index = start + i;
			if (index >= n)
				index -= n;
		}
		slot = slot_at(from >> 16, (from & 0xffff) + index);
		if (slot < 0 || ROW_OF((__u32)slot) == not_row)
			continue;
		err = bpf_sk_select_reuseport(ctx, &listeners, &slot, 0);
		if (!err)
			return slot;
	}
	return err;
}

/* The run of a settings class, or of any; as try_run(). */
static __always_inline int try_range(struct sk_reuseport_md *ctx, const struct rm_control *ctl,
				     __u32 number, __u32 not_row)
{
	const struct rm_line *line = line_at(ctl->plan + number / LINE_RANGES);
	const struct rm_range *range;

	if (!line)
		return -ENODATA; /* cannot happen: a plan has these lines */
	range = &line->as.ranges[number % LINE_RANGES];
	return try_run(ctx, (__u32)ctl->plan << 16 | range->first, range->count, range->total,
		       not_row);
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

/* A new connection that is not simply given to the first target that is tried. */
static __always_inline int on_rare_syn(struct sk_reuseport_md *ctx, const struct rm_control *ctl)
{
	__u32 n = ctl->syn_count, last = ctl->standby;
	int slot;

	if (is_probe(ctx, ctl)) {
		slot = ctl->probe_slot;
		/* Not counted: it is no client's. */
		return bpf_sk_select_reuseport(ctx, &listeners, &slot, 0) ? SK_DROP : SK_PASS;
	}
	if (n == RM_SYN_REFUSE) {
		count_syn(RM_OUTCOME_DROPPED);
		return SK_DROP;
	}
	/* Only a probe is under way. */
	if (!n && !last) {
		count_syn(RM_OUTCOME_KERNEL);
		return SK_PASS;
	}

	slot = try_run(ctx, (__u32)ctl->plan << 16 | SYN_CELL, n, n, GROUP_ROW);
	if (slot >= 0) {
		count_syn(SELECTED(slot));
		return SK_PASS;
	}
	if (try_standby(ctx, ctl, GROUP_ROW)) {
		count_syn(SELECTED(last));
		return SK_PASS;
	}

	/* Those targets have just closed; any live listener is better than a refusal. */
	count_syn(failed(slot, RM_OUTCOME_FALLBACK_NO_TARGET));
	return SK_PASS;
}

/* Entry of `sources` of the listener that closes; 0: it is not known. */
static __always_inline __u64 source_of(__u64 cookie, __u32 mask)
{
	__u32 hash = ((__u32)cookie ^ (__u32)(cookie >> 32)) * RM_SOURCE_HASH >> 16;

#pragma clang loop unroll(disable)
	for (__u32 i = 0; i < RM_SOURCE_TRIES; i++) {
		__u32 entry = (hash + i) & mask;
		volatile __u64 *word = bpf_map_lookup_elem(&sources, &entry);
		__u64 source = word ? *word : 0; /* loaded once */

		if (source >> RM_SOURCE_COOKIE_SHIFT == cookie)
			return source;
	}
	return 0;
}

static __always_inline __u32 row_of(__u64 source)
{
	return (__u16)source >> RM_SOURCE_ROW_SHIFT;
}

/* A half-open request: a packet brought us here, or the SYN-ACK timer. */
static __always_inline __u32 stage_of(struct sk_reuseport_md *ctx, __u32 state)
{
	if (state != TCP_NEW_SYN_RECV)
		return RM_STAGE_ACCEPT_QUEUE;
	return ctx->len ? RM_STAGE_HANDSHAKE_ACK : RM_STAGE_HANDSHAKE_TIMER;
}

/* A connection whose listener closes or has closed. */
static __always_inline int on_migrate(struct sk_reuseport_md *ctx, const struct rm_control *ctl,
				      __u32 stage, struct bpf_sock *migrating, __u32 state)
{
	__u64 source = source_of(bpf_get_socket_cookie(ctx->sk), ctl->source_mask);
	__u32 row = row_of(source);
	__u32 class = source % RM_MAX_CLASSES, why;
	int slot;

	/* `--migrate off` and `observe`: what the kernel does without us; so too what would do harm. */
	if (ctl->mode == RM_MODE_PASS) {
		count(row, stage, RM_OUTCOME_KERNEL);
		return SK_PASS;
	}
	/* A listener that is known is a plain TCP one: only of others it is asked, which takes as long as all the rest. */
	if (ctl->mode == RM_MODE_DROP || (!source && speaks_mptcp(migrating, state))) {
		count(row, stage, RM_OUTCOME_DROPPED);
		return SK_DROP;
	}

	slot = try_range(ctx, ctl, class, row);
	if (slot >= 0) {
		count(row, stage, RM_OUTCOME_SELECTED);
		count_into(slot, stage);
		return SK_PASS;
	}
	why = failed(slot, class ? RM_OUTCOME_FALLBACK_SETTINGS : RM_OUTCOME_FALLBACK_SOURCE);

	/* None with its settings, or they have gone: any target (none if strict). */
	slot = try_range(ctx, ctl, RANGE_OTHER, row);
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
	void *ring = bpf_map_lookup_elem(&moves, &zero);

	if (m && ring && !__sync_lock_test_and_set(&m->told, 1))
		bpf_ringbuf_output(ring, m, sizeof(*m), 0);
}

/* All that is not the way of nearly every packet; apart, so that that way is short. */
__noinline int decide(struct sk_reuseport_md *ctx)
{
	struct bpf_sock *migrating = ctx->migrating_sk;
	const struct rm_control *ctl;
	__u32 zero = 0, state, stage;
	int verdict;

	ctl = bpf_map_lookup_elem(&control, &zero);
	if (!ctl)
		return SK_PASS; /* cannot happen: an array's entry 0 */
	if (!migrating)
		return on_rare_syn(ctx, ctl);
	state = migrating->state;
	stage = stage_of(ctx, state);
	verdict = on_migrate(ctx, ctl, stage, migrating, state);
	if (verdict == SK_PASS && stage == RM_STAGE_ACCEPT_QUEUE && ctl->tell)
		tell_moved();
	return verdict;
}

/* Anything else than so many targets: 0, RM_SYN_REFUSE. */
static __always_inline int is_count(__u32 n)
{
	return (__u16)(n - 1) < RM_MAX_SLOTS;
}

/*
 * A new connection, as nearly all are: under `--route kernel`, nothing draining and no standby any
 * listener may have it; else one of the targets by hash, which lives.
 */
static __always_inline int on_syn(struct sk_reuseport_md *ctx, const struct rm_control *ctl)
{
	__u32 n = ctl->syn_count, index;
	int slot;

	if (!(n | ctl->standby | ctl->probe)) {
		count_syn(RM_OUTCOME_KERNEL);
		return SK_PASS;
	}
	if (ctl->probe || !is_count(n))
		return decide(ctx);
	index = scale(ctx->hash, n);
	slot = index < RM_FEW ? ctl->few[index] : slot_at(ctl->plan, SYN_CELL + index);
	if (bpf_sk_select_reuseport(ctx, &listeners, &slot, 0))
		return decide(ctx);
	count_syn(SELECTED(slot));
	return SK_PASS;
}

/* A migrating one, as nearly all are: to a target of its class by hash, which lives. */
static __always_inline int on_known(struct sk_reuseport_md *ctx, const struct rm_control *ctl,
				    __u32 state)
{
	__u64 source = source_of(bpf_get_socket_cookie(ctx->sk), ctl->source_mask);
	__u32 class = source % RM_MAX_CLASSES, row = row_of(source), stage = stage_of(ctx, state);
	const struct rm_line *line = line_at(ctl->plan + class / LINE_RANGES);
	const struct rm_range *range;
	int slot;

	if (!source || !line || ctl->mode > RM_MODE_STRICT || ctl->tell)
		return decide(ctx);
	range = &line->as.ranges[class % LINE_RANGES];
	if (!range->count)
		return decide(ctx);
	slot = slot_at(ctl->plan, range->first + scale(ctx->hash, range->count));
	if (ROW_OF((__u32)slot) == row || bpf_sk_select_reuseport(ctx, &listeners, &slot, 0))
		return decide(ctx);
	count(row, stage, RM_OUTCOME_SELECTED);
	count_into(slot, stage);
	return SK_PASS;
}

/* What nearly every packet needs, without a call: one and its return take as long as all else here. */
SEC("sk_reuseport/migrate")
int select_listener(struct sk_reuseport_md *ctx)
{
	struct bpf_sock *migrating = ctx->migrating_sk;
	const struct rm_control *ctl;
	__u32 zero = 0;

	ctl = bpf_map_lookup_elem(&control, &zero);
	if (!ctl)
		return SK_PASS; /* cannot happen: an array's entry 0 */
	return migrating ? on_known(ctx, ctl, migrating->state) : on_syn(ctx, ctl);
}

char _license[] SEC("license") = "Dual MIT/GPL";
