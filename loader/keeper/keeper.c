// SPDX-License-Identifier: MIT
/*
 * The keeper: has a second descriptor of every standby of a sidecar, so that what a hold keeps
 * survives a sidecar that is killed, restarted or upgraded. It accepts nothing and decides nothing.
 * A successor takes the descriptors with pidfd_getfd(2) and ends this process. If none comes in
 * time, it closes them: the kernel then does what it would do without us.
 *
 * It reads requests from file descriptor 3.
 */
#define _GNU_SOURCE
#include "keeper.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define PARENT 3

struct kept {
	__u64 cookie;
	__u32 patience_ms;
	int fd;
};

static struct kept *all;
static size_t count, room;

static void drop(size_t i)
{
	close(all[i].fd);
	all[i] = all[--count];
}

static int drop_cookie(__u64 cookie)
{
	for (size_t i = 0; i < count; i++) {
		if (all[i].cookie != cookie)
			continue;
		drop(i);
		return 0;
	}
	return ENOENT;
}

static int keep(const struct rm_keep_request *request, int fd)
{
	if (fd < 0)
		return EBADF;
	if (count == room) {
		size_t larger = room ? 2 * room : 64;
		struct kept *moved = realloc(all, larger * sizeof(*all));

		if (!moved) {
			close(fd);
			return ENOMEM;
		}
		all = moved;
		room = larger;
	}
	all[count++] = (struct kept){request->cookie, request->patience_ms, fd};
	return 0;
}

/* Receives a request and the descriptor sent along (or -1). Returns false once the sidecar is gone. */
static bool receive(struct rm_keep_request *request, int *fd)
{
	union {
		struct cmsghdr header;
		char space[CMSG_SPACE(sizeof(int))];
	} control;
	struct iovec iov = {.iov_base = request, .iov_len = sizeof(*request)};
	struct msghdr message = {.msg_iov = &iov,
				 .msg_iovlen = 1,
				 .msg_control = &control,
				 .msg_controllen = sizeof(control)};
	ssize_t length;

	*fd = -1;
	do
		length = recvmsg(PARENT, &message, MSG_CMSG_CLOEXEC);
	while (length < 0 && errno == EINTR);
	for (struct cmsghdr *part = CMSG_FIRSTHDR(&message); length > 0 && part;
	     part = CMSG_NXTHDR(&message, part))
		if (part->cmsg_level == SOL_SOCKET && part->cmsg_type == SCM_RIGHTS)
			memcpy(fd, CMSG_DATA(part), sizeof(*fd));
	return length == (ssize_t)sizeof(*request);
}

static long long now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_BOOTTIME, &now);
	return now.tv_sec * 1000LL + now.tv_nsec / 1000000;
}

/* Closes each descriptor when its time is over. */
static void wait_for_successor(void)
{
	long long gone_ms = now_ms();

	while (count > 0) {
		long long waited_ms = now_ms() - gone_ms, next_ms = INT_MAX;

		for (size_t i = count; i-- > 0;) {
			long long left_ms = all[i].patience_ms - waited_ms;

			if (left_ms <= 0)
				drop(i);
			else if (left_ms < next_ms)
				next_ms = left_ms;
		}
		if (count > 0)
			poll(NULL, 0, (int)next_ms);
	}
}

int main(void)
{
	struct rm_keep_request request;
	int fd;

	prctl(PR_SET_NAME, RM_KEEPER_COMM);
	/* It ends with its sidecar, or after it. */
	signal(SIGHUP, SIG_IGN);
	signal(SIGINT, SIG_IGN);
	signal(SIGTERM, SIG_IGN);
	syscall(SYS_close_range, PARENT + 1, ~0U, 0);
	while (receive(&request, &fd)) {
		__u32 error =
			request.kind == RM_KEEP ? keep(&request, fd) : drop_cookie(request.cookie);

		if (send(PARENT, &error, sizeof(error), MSG_NOSIGNAL) < 0)
			break;
	}
	close(PARENT);
	wait_for_successor();
	return 0;
}
