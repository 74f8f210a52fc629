/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* Counting, and trying the targets of a plan. */
#ifndef RM_CANDIDATES_H
#define RM_CANDIDATES_H

#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include <linux/errno.h>

#include "reuseport_migrate.h"
#include "select_maps.h"

#define GROUP_ROW 0
#define ROW_OF(slot) ((slot) + 1)

/* A new connection; `cell`: its outcome, or SELECTED(slot). */
#define SELECTED(slot) (RM_OUTCOMES + (slot))

static __always_inline void count_syn(__u32 cell)
{
	__u32 at = bpf_get_smp_processor_id() * sizes.cpu_counters + cell;

	if (at < sizes.counters) /* which the verifier knows: .rodata is frozen */
		++control.counters[at];
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

static __always_inline const struct rm_plan_line *line_at(__u32 line)
{
	return bpf_map_lookup_elem(&plans, &line);
}

#define SYN_CELL (RM_CANDIDATE_LINES * RM_LINE_CELLS)
#define LINE_CANDIDATES (RM_LINE_CELLS / 4)
#define ANY_CLASS RM_MAX_CLASSES
_Static_assert(RM_MAX_CLASSES + 1 <= RM_CANDIDATE_LINES * LINE_CANDIDATES, "the ranges have room");

/* The slot in a cell of the plan that begins with line `plan`; -1 where half of a write of `control` was seen. */
static __always_inline int slot_at(__u32 plan, __u32 cell)
{
	const struct rm_plan_line *line = line_at(plan + cell / RM_LINE_CELLS);

	return line ? line->as.cells[cell % RM_LINE_CELLS] : -1;
}

/* What it is called that try_candidates() selected nothing; `none`: there was nothing to try. */
static __always_inline __u32 failed(int err, __u32 none)
{
	if (err == -ENODATA)
		return none;
	return err == -ENOENT ? RM_OUTCOME_FALLBACK_GONE : RM_OUTCOME_FALLBACK_REFUSED;
}

/*
 * One cell of a run, of the plan at @from >> 16, unless it is the closing listener's own row. Not
 * static: the verifier looks at it once, and not at each of the loop's turns.
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
 * A few of a run, the closing listener's own row left out: one of the best by
 * hash; it may have closed since the plan was made: then its neighbours, then
 * what is second best. The slot selected; else -ENODATA where there was none to
 * try, or what the last one tried said.
 * @from: first line of the plan << 16 | first cell of the run in it
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

/* The run of a settings class, or of any; as try_candidates(). */
static __always_inline int try_class(struct sk_reuseport_md *ctx, __u32 number, __u32 not_row)
{
	const struct rm_plan_line *line = line_at(control.plan + number / LINE_CANDIDATES);
	const struct rm_candidates *c;

	if (!line)
		return -ENODATA; /* cannot happen: a plan has these lines */
	c = &line->as.candidates[number % LINE_CANDIDATES];
	return try_candidates(ctx, (__u32)control.plan << 16 | c->first, c->count, c->total,
			      not_row);
}

#endif
