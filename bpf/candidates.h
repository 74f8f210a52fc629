/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* Counting decisions, and trying the candidates of a plan. */
#ifndef RM_CANDIDATES_H
#define RM_CANDIDATES_H

#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include <linux/errno.h>

#include "reuseport_migrate.h"
#include "select_maps.h"

#define GROUP_ROW 0
#define ROW_OF(slot) ((slot) + 1)

/* Index of a new connection's counter when `slot` was selected; else the index is the outcome. */
#define SELECTED(slot) (RM_OUTCOMES + (slot))
/* Index of the counter of probes: no clients, and counted so that the sidecar sees them arrive. */
#define PROBES (sizes.cpu_counters - 1)

static __always_inline void count_syn(__u32 index)
{
	__u32 at = bpf_get_smp_processor_id() * sizes.cpu_counters + index;

	if (at < sizes.counters) /* known to the verifier, since .rodata is frozen */
		++control.counters[at];
}

static __always_inline void count(__u32 row, __u32 stage, __u32 outcome)
{
	struct rm_migrations *m = bpf_map_lookup_elem(&migrations, &row);
	__u32 index = (stage - 1) * RM_OUTCOMES + outcome;

	if (m && index < (RM_STAGES - 1) * RM_OUTCOMES)
		__sync_fetch_and_add(&m->decisions[index], 1);
}

static __always_inline void count_into(__u32 slot, __u32 stage)
{
	__u32 row = ROW_OF(slot), index = stage - 1;
	struct rm_migrations *m = bpf_map_lookup_elem(&migrations, &row);

	if (m && index < RM_STAGES - 1)
		__sync_fetch_and_add(&m->into[index], 1);
}

/* Maps 32 bits of hash to an index below n, as the kernel's reciprocal_scale() does. */
static __always_inline __u32 scale(__u32 hash, __u32 n)
{
	return ((__u64)hash * n) >> 32;
}

static __always_inline const struct rm_plan_line *line_at(__u32 line)
{
	return bpf_map_lookup_elem(&plans, &line);
}

#define SYN_INDEX (RM_CANDIDATE_LINES * RM_LINE_SLOTS)
#define LINE_CANDIDATES (RM_LINE_SLOTS / 4)
#define ANY_CLASS RM_MAX_CLASSES
_Static_assert(RM_MAX_CLASSES + 1 <= RM_CANDIDATE_LINES * LINE_CANDIDATES,
	       "candidates of all classes fit");

/* Returns the slot at an index of the plan at line `plan`; -1 if `control` is being written. */
static __always_inline int slot_at(__u32 plan, __u32 index)
{
	const struct rm_plan_line *line = line_at(plan + index / RM_LINE_SLOTS);

	return line ? line->as.slots[index % RM_LINE_SLOTS] : -1;
}

/* Returns the outcome for an error of try_candidates(); `none` if there was no candidate. */
static __always_inline __u32 failed(int err, __u32 none)
{
	if (err == -ENODATA)
		return none;
	return err == -ENOENT ? RM_OUTCOME_FALLBACK_GONE : RM_OUTCOME_FALLBACK_REFUSED;
}

/*
 * Tries one candidate of the plan at @from >> 16, unless its row is that of the closing listener.
 * Not static, so that the verifier checks it once instead of in each iteration of the loop.
 */
__noinline int try_candidate(struct sk_reuseport_md *ctx, __u32 from, __u32 index, __u32 not_row)
{
	int slot = slot_at(from >> 16, (from & 0xffff) + index);
	long err;

	if (slot < 0 || ROW_OF((__u32)slot) == not_row)
		return -ENODATA;
	err = bpf_sk_select_reuseport(ctx, &listeners, &slot, 0);
	return err ? err : slot;
}

/*
 * Tries up to RM_TRIES candidates: a preferred one by hash, then its neighbours, then the older
 * generations. A candidate may have closed since the plan was made. Skips the closing listener's
 * row. Returns the selected slot, -ENODATA if there was no candidate, or the error of the last one
 * tried.
 * @from: first line of the plan << 16 | index of the first candidate
 */
__noinline int try_candidates(struct sk_reuseport_md *ctx, __u32 from, __u32 n, __u32 total,
			      __u32 not_row)
{
	__u32 start = scale(ctx->hash, n);
	int err = -ENODATA;

	for (__u32 i = 0; i < RM_TRIES && i < total; i++) {
		__u32 index = i;
		int tried;

		if (i < n) {
			index = start + i;
			if (index >= n)
				index -= n;
		}
		tried = try_candidate(ctx, from, index, not_row);
		if (tried >= 0)
			return tried;
		if (tried != -ENODATA)
			err = tried;
	}
	return err;
}

/* Tries the candidates of a settings class, or of ANY_CLASS. Returns as try_candidates(). */
static __always_inline int try_class(struct sk_reuseport_md *ctx, __u32 number, __u32 not_row)
{
	const struct rm_plan_line *line = line_at(control.plan + number / LINE_CANDIDATES);
	const struct rm_candidates *c;

	if (!line)
		return -ENODATA; /* cannot happen: every plan has these lines */
	c = &line->as.candidates[number % LINE_CANDIDATES];
	return try_candidates(ctx, (__u32)control.plan << 16 | c->first, c->count, c->total,
			      not_row);
}

/*
 * Tries the targets of new connections: those that prefer this CPU, as the kernel's hash does
 * (SO_INCOMING_CPU), then the first @n. Returns as try_candidates().
 */
static __always_inline int try_targets(struct sk_reuseport_md *ctx, __u32 n)
{
	__u32 plan = control.plan, cpu = bpf_get_smp_processor_id(), first = SYN_INDEX, count = 0;
	const struct rm_plan_line *line = line_at(plan + sizes.cpu_line + cpu / RM_LINE_CPUS);
	int slot;

	if (line) {
		first = line->as.cpus[cpu % RM_LINE_CPUS].first;
		count = line->as.cpus[cpu % RM_LINE_CPUS].count;
	}
	slot = try_candidates(ctx, plan << 16 | first, count, count, GROUP_ROW);
	return slot >= 0 ? slot : try_candidates(ctx, plan << 16 | SYN_INDEX, n, n, GROUP_ROW);
}

#endif
