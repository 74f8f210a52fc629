// SPDX-License-Identifier: MIT
/*
 * Executes a shell command with nothing that it would inherit from a sidecar: neither its priority
 * nor any of its open files. The shell ends with its parent.
 */
#define _GNU_SOURCE
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	const struct sched_param ordinary = {0};

	if (argc != 2)
		return 126;
	/* These fail only where the sidecar's own priority is lower than the usual one. */
	sched_setscheduler(0, SCHED_OTHER, &ordinary);
	setpriority(PRIO_PROCESS, 0, 0);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	syscall(SYS_close_range, STDERR_FILENO + 1, ~0U, 0);
	execl("/bin/sh", "sh", "-c", argv[1], (char *)NULL);
	return 127;
}
