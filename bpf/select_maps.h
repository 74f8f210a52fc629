/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * The maps of one group. What is in them says reuseport_migrate.h; the loader gives those of the
 * group's size their entries (loader/core/map_shapes.ts).
 */
#ifndef RM_SELECT_MAPS_H
#define RM_SELECT_MAPS_H

#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

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
	__type(value, struct rm_plan_line);
} plans SEC(".maps");

/* Sections, and so addresses are known: what every packet needs costs no lookup. */
struct rm_control control SEC(".data.control");
const volatile struct rm_sizes sizes = {};

/* Told through `move_events`, once until the loader has taken it. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct rm_move_report);
} move_report SEC(".maps");

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
} move_events SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
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
	__type(value, struct rm_hold_counts);
} hold_counts SEC(".maps");

#endif
