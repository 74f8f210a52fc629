/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * The maps of one group. reuseport_migrate.h describes their entries. The loader sets the number of
 * entries of maps that grow with the group (loader/core/map_shapes.ts).
 */
#ifndef RM_SELECT_MAPS_H
#define RM_SELECT_MAPS_H

#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#include "records.h"
#include "reuseport_migrate.h"

struct {
	__uint(type, BPF_MAP_TYPE_SOCKMAP);
	__uint(max_entries, RM_MAX_SLOTS);
	__type(key, __u32);
	__type(value, __u64); /* 8 bytes, so that user space can read the cookie back */
} listeners SEC(".maps");

/*
 * An array used as a hash table. A lookup takes a third of the time of BPF_MAP_TYPE_HASH (bench row
 * 4), which also has hidden per-CPU caches of elements (row 15).
 */
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

/* Data sections: their addresses are part of the code, which saves a lookup per packet. */
struct rm_control control SEC(".data.control");
const volatile struct rm_sizes sizes = {};

/* Sent through `move_events`, and not again until the loader has read it. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct rm_move_report);
} move_report SEC(".maps");

/* The ring buffer of a sidecar that wakes destinations; other groups save its 16 KiB. */
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

/* Memory of the loader, which no program reads. */
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
