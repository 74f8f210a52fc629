// SPDX-License-Identifier: MIT OR GPL-2.0-only
/*
 * Decides which listener of the group serves a connection. Each group has its own instance of this
 * object. The loader plans and this program looks up. A new connection costs at most one select,
 * unless its target has just closed. A migrating connection costs a lookup of its source and up to
 * RM_TRIES selects.
 *
 * With a standby in the group every decision is explicit, since the kernel's hash would give the
 * standby a share: any live target comes first, then the standby.
 *
 * Verdicts (net/core/sock_reuseport.c): SK_PASS after a successful select means that listener.
 * SK_PASS without one means the kernel's hash over the live listeners of the group. SK_DROP refuses
 * (syn) or resets (migrating stages) the connection.
 */
#include <linux/bpf.h>
#include <linux/tcp.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "mptcp.h"
#include "reuseport_migrate.h"
#include "select_maps.h"
#include "candidates.h"

/* Selects the standby. Returns 0 if there is none, or if it is the closing listener. */
static __always_inline int try_standby(struct sk_reuseport_md *ctx, __u32 not_row)
{
	__u32 slot = control.standby;

	return slot && ROW_OF(slot) != not_row &&
	       !bpf_sk_select_reuseport(ctx, &listeners, &slot, 0);
}

/* Whether the connection is the sidecar's: a readiness probe, or one that wakes a listener. */
static __always_inline int is_probe(struct sk_reuseport_md *ctx)
{
	const struct tcphdr *tcp = ctx->data;

	return control.probe && (const void *)(tcp + 1) <= ctx->data_end &&
	       bpf_ntohs(tcp->source) == control.probe;
}

/* stage syn, slow path: probes, drained groups, the standby, SO_INCOMING_CPU, closed targets. */
static __always_inline int on_rare_syn(struct sk_reuseport_md *ctx)
{
	__u32 n = control.syn_count, standby = control.standby, counter;
	int slot = control.probe_slot;

	if (is_probe(ctx)) {
		if (bpf_sk_select_reuseport(ctx, &listeners, &slot, 0))
			return SK_DROP;
		count_syn(PROBES);
		return SK_PASS;
	}
	if (n == RM_SYN_REFUSE) {
		counter = RM_OUTCOME_DROPPED;
	} else if (!n && !standby) {
		counter = RM_OUTCOME_KERNEL; /* the slow path was taken for a probe only */
	} else {
		slot = try_targets(ctx, n);
		if (slot >= 0)
			counter = SELECTED(slot);
		else if (try_standby(ctx, GROUP_ROW))
			counter = SELECTED(standby);
		else /* The targets have just closed; any live listener is better than a refusal. */
			counter = failed(slot, RM_OUTCOME_FALLBACK_NO_TARGET);
	}
	count_syn(counter);
	return counter == RM_OUTCOME_DROPPED ? SK_DROP : SK_PASS;
}

static __always_inline __u64 find_source(__u64 cookie, __u32 mask, __u32 tries)
{
	__u32 hash = ((__u32)cookie ^ (__u32)(cookie >> 32)) * RM_SOURCE_HASH >> 16;

#pragma clang loop unroll(disable)
	for (__u32 i = 0; i < tries; i++) {
		__u32 entry = (hash + i) & mask;
		volatile __u64 *word = bpf_map_lookup_elem(&sources, &entry);
		__u64 source = word ? *word : 0; /* loaded once */

		if (source >> RM_SOURCE_COOKIE_SHIFT == cookie)
			return source;
	}
	return 0;
}

/* Returns the closing listener's entry of `sources`, or 0. Not static: it is verified once. */
__noinline __u64 source_of(__u64 cookie, __u32 mask)
{
	return find_source(cookie, mask, RM_SOURCE_TRIES);
}

/* At most a quarter of `sources` is used, so the first tries find nearly every listener. */
#define FIRST_TRIES 4

static __always_inline __u32 row_of(__u64 source)
{
	return (__u16)source >> RM_SOURCE_ROW_SHIFT;
}

/* A half-open request is decided on a packet, or on the SYN-ACK timer, which has none. */
static __always_inline __u32 stage_of(struct sk_reuseport_md *ctx, __u32 state)
{
	if (state != TCP_NEW_SYN_RECV)
		return RM_STAGE_ACCEPT_QUEUE;
	return ctx->len ? RM_STAGE_HANDSHAKE_ACK : RM_STAGE_HANDSHAKE_TIMER;
}

/* migrating stages: a connection whose listener is closing or has closed. */
static __always_inline int on_migrate(struct sk_reuseport_md *ctx, __u32 stage,
				      struct bpf_sock *migrating, __u32 state)
{
	__u64 source = source_of(bpf_get_socket_cookie(ctx->sk), control.source_mask);
	__u32 row = row_of(source);
	__u32 class = source % RM_MAX_CLASSES, why;
	int slot;

	/* `--migrate off` and `observe`: the kernel's own behaviour. */
	if (control.mode == RM_MODE_PASS) {
		count(row, stage, RM_OUTCOME_KERNEL);
		return SK_PASS;
	}
	/* Known listeners are plain TCP. The check of others takes as long as the decision. */
	if (control.mode == RM_MODE_DROP || (!source && speaks_mptcp(migrating, state))) {
		count(row, stage, RM_OUTCOME_DROPPED);
		return SK_DROP;
	}

	slot = try_class(ctx, class, row);
	if (slot >= 0) {
		count(row, stage, RM_OUTCOME_SELECTED);
		count_into(slot, stage);
		return SK_PASS;
	}
	why = failed(slot, class ? RM_OUTCOME_FALLBACK_SETTINGS : RM_OUTCOME_FALLBACK_SOURCE);

	/* No live target has its settings: any target, or none under `--settings strict`. */
	slot = try_class(ctx, ANY_CLASS, row);
	if (slot >= 0) {
		count(row, stage, why);
		count_into(slot, stage);
		return SK_PASS;
	}
	if (try_standby(ctx, row)) {
		count(row, stage, RM_OUTCOME_SELECTED);
		count_into(control.standby, stage);
		return SK_PASS;
	}

	/* `--settings strict`: no destination rather than one with unknown settings. */
	if (control.mode == RM_MODE_STRICT) {
		count(row, stage, RM_OUTCOME_DROPPED_SETTINGS);
		return SK_DROP;
	}

	/* The kernel's hash picks among the live listeners. */
	count(row, stage, failed(slot, RM_OUTCOME_FALLBACK_NO_TARGET));
	return SK_PASS;
}

/*
 * Reports a migration, so that the sidecar wakes destinations on kernels that do not
 * (CVE-2026-46015). The sidecar checks all queues of the group, so one event is enough until it has
 * read it.
 */
static __always_inline void report_move(void)
{
	__u32 zero = 0;
	struct rm_move_report *m = bpf_map_lookup_elem(&move_report, &zero);
	void *ring = bpf_map_lookup_elem(&move_events, &zero);

	if (m && ring && !__sync_lock_test_and_set(&m->pending, 1))
		bpf_ringbuf_output(ring, m, sizeof(*m), 0);
}

/* Slow path, out of line so that the fast path stays small (bench rows 1 to 4). */
__noinline int decide(struct sk_reuseport_md *ctx)
{
	struct bpf_sock *migrating = ctx->migrating_sk;
	__u32 state, stage;
	int verdict;

	if (!migrating)
		return on_rare_syn(ctx);
	state = migrating->state;
	stage = stage_of(ctx, state);
	verdict = on_migrate(ctx, stage, migrating, state);
	if (verdict == SK_PASS && stage == RM_STAGE_ACCEPT_QUEUE && control.report_moves)
		report_move();
	return verdict;
}

/*
 * stage syn, fast path: the kernel's hash (`--route kernel`, no listener drained, no standby), or
 * one live target by hash.
 */
static __always_inline int on_syn(struct sk_reuseport_md *ctx)
{
	__u32 n = control.fast_path, index;
	int slot;

	if (!n) {
		count_syn(RM_OUTCOME_KERNEL);
		return SK_PASS;
	}
	if (n > RM_MAX_SLOTS)
		return decide(ctx);
	index = scale(ctx->hash, n);
	slot = index < RM_FIRST_TARGETS ? control.first_targets[index] :
					  slot_at(control.plan, SYN_INDEX + index);
	if (bpf_sk_select_reuseport(ctx, &listeners, &slot, 0))
		return decide(ctx);
	count_syn(SELECTED(slot));
	return SK_PASS;
}

/* migrating stages, fast path: one live target by hash. Saves 8 % in bench row 4, 3 % in row 2. */
static __always_inline int on_known(struct sk_reuseport_md *ctx, __u32 state)
{
	__u64 source =
		find_source(bpf_get_socket_cookie(ctx->sk), control.source_mask, FIRST_TRIES);
	__u32 class = source % RM_MAX_CLASSES, row = row_of(source), stage = stage_of(ctx, state);
	const struct rm_plan_line *line = line_at(control.plan + class / LINE_CANDIDATES);
	const struct rm_candidates *c;
	int slot;

	if (!source || !line || control.mode > RM_MODE_STRICT || control.report_moves)
		return decide(ctx);
	c = &line->as.candidates[class % LINE_CANDIDATES];
	if (!c->count)
		return decide(ctx);
	slot = slot_at(control.plan, c->first + scale(ctx->hash, c->count));
	if (ROW_OF((__u32)slot) == row || bpf_sk_select_reuseport(ctx, &listeners, &slot, 0))
		return decide(ctx);
	count(row, stage, RM_OUTCOME_SELECTED);
	count_into(slot, stage);
	return SK_PASS;
}

/* The fast paths are inlined: a call and return cost 20 ns (thunks), as much as the decision. */
SEC("sk_reuseport/migrate")
int select_listener(struct sk_reuseport_md *ctx)
{
	struct bpf_sock *migrating = ctx->migrating_sk;

	return migrating ? on_known(ctx, migrating->state) : on_syn(ctx);
}

char _license[] SEC("license") = "Dual MIT/GPL";
