/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* Pids as the loader sees them. Requires kernel_types.h and bpf_core_read.h. */
#ifndef RM_PID_H
#define RM_PID_H

#define MAX_PID_NS_LEVEL 32 /* include/linux/pid_namespace.h */

/*
 * Returns the number of @pid in the pid namespace with inode number @pidns, as pidfd_open(2) there
 * takes it; 0 if the process is not in that namespace.
 * @level: level of the process's own pid namespace
 */
static __always_inline __u32 pid_number(struct pid *pid, __u32 level, __u32 pidns)
{
	const char *numbers = (const char *)pid + bpf_core_field_offset(pid->numbers);

	for (__u32 i = 0; i < MAX_PID_NS_LEVEL && i <= level; i++) {
		const struct upid *number = (const void *)(numbers + i * sizeof(*number));

		if (BPF_CORE_READ(number, ns, ns.inum) == pidns)
			return BPF_CORE_READ(number, nr);
	}
	return 0;
}

#endif
