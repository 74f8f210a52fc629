/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* Checks of a struct that the loader knows, too. */
#ifndef REUSEPORT_MIGRATE_LAYOUT_H
#define REUSEPORT_MIGRATE_LAYOUT_H

#define RM_ASSERT_SIZE(type, size) _Static_assert(sizeof(struct type) == (size), "sizeof " #type)
#define RM_ASSERT_OFFSET(type, member, offset) \
	_Static_assert(__builtin_offsetof(struct type, member) == (offset), #type "." #member)

#endif
